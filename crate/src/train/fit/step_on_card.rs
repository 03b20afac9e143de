//! A step on a GPU: the first of its kind by a tape, as on the CPU; the second is recorded as it is taken, and all
//! further ones are the recording, run again. All give the same bits.

use dfdx::prelude::{Cuda, HasShape, OwnedTape, Trace};

use super::step::{descend_by_tape, loss_of, Input, Step, StepBackend, TrainingBatch};
use crate::loss::Loss;
use crate::network::base::Base;
use crate::network::frozen::frozen_on_card;
use crate::network::with_head::{Head, Parts};
use crate::ops::backend::{Activations, Backend, Matrix};
use crate::ops::cuda::calls;
use crate::ops::cuda::recorded_step::{RecordedStep, Start, StepKey, Words};
use crate::ops::cuda::recording::{Pinned, Recorder};
use crate::ops::cuda::{address, backward_by, copy, dropout, Card};
use crate::ops::head;
use crate::optim::KerasOptimizer;
use crate::Result;

impl StepBackend for Cuda {
    fn descend(
        parts: Parts<'_, Self>,
        optimizer: &mut KerasOptimizer<Self>,
        batch: TrainingBatch<'_>,
        loss: Loss,
        check: &dyn Fn(f64) -> Result<()>,
    ) -> Result<Step> {
        let _multiplying = Self::multiplying(parts.base.precision());
        let key = key_of(&parts, &batch)?;
        if !optimizer.scratch.comes_again(&key) {
            return descend_by_tape(parts, optimizer, batch, loss, check);
        }
        if optimizer.scratch.get(&key).is_none() {
            optimizer.scratch.make_room(&key);
            let Parts { base, head } = parts;
            let step = record(base, head, optimizer, &batch)?;
            optimizer.scratch.insert(key, step);
            return replay(Parts { base, head }, optimizer, &key, &batch, loss, check);
        }
        replay(parts, optimizer, &key, &batch, loss, check)
    }
}

fn key_of(parts: &Parts<'_, Cuda>, batch: &TrainingBatch<'_>) -> Result<StepKey> {
    let start = match batch.input {
        Input::Images(_) => Start::Images,
        Input::Frozen(_) => Start::Frozen,
        Input::Kept(kept) => Start::Kept(address(kept.tensor())?),
        Input::Placed(placed) => {
            let r = placed.rescaling();
            Start::Placed(placed.first(), [r.scale, r.offset].map(f32::to_bits))
        }
    };
    Ok(StepKey {
        images: batch.targets.len(),
        start,
        dropout: batch.dropout.map_or(0, |d| d.dropout.rate.to_bits()),
        version: parts.base.version(),
        moves: Card::get()?.moves(),
    })
}

/// What is differentiated starts here.
enum From {
    Images(Activations<Cuda>),
    /// Outputs of the frozen part.
    Outputs(Activations<Cuda>),
    /// What the dense layer gets.
    Features(Matrix<Cuda>),
}

/// What the dense layer gets of the outputs of the frozen part, with a tape.
fn above(base: &Base<Cuda>, x: Activations<Cuda>, to: usize) -> Result<Matrix<Cuda, OwnedTape<f32, Cuda>>> {
    head::global_average_pooling(base.forward(x.leaky_traced(), to)?)
}

/// Logits, from what is on the GPU.
fn traced_logits(
    base: &Base<Cuda>,
    dense: &Head<Cuda>,
    from: From,
    dropping: Option<(u64, f32)>,
) -> Result<Matrix<Cuda, OwnedTape<f32, Cuda>>> {
    let to = base.first_trainable_unit();
    let all_frozen = to == base.architecture.units.len();
    let mut features = match from {
        From::Features(features) => features.leaky_traced(),
        From::Images(x) if all_frozen => {
            head::global_average_pooling(frozen_on_card(base, x, to)?)?.leaky_traced()
        }
        From::Images(x) => above(base, frozen_on_card(base, x, to)?, to)?,
        From::Outputs(x) => above(base, x, to)?,
    };
    if let Some((keys, rate)) = dropping {
        // SAFETY: the keys are as many as images, and stay as long as the recording.
        features = unsafe { dropout(features, keys, rate) }?;
    }
    head::dense(features, &dense.kernel.tensor, &dense.bias.tensor, !all_frozen)
}

/// Records a step for batches like this one; nothing is computed.
fn record(
    base: &mut Base<Cuda>,
    dense: &mut Head<Cuda>,
    optimizer: &mut KerasOptimizer<Cuda>,
    batch: &TrainingBatch<'_>,
) -> Result<RecordedStep> {
    let (card, n, units) = (Card::get()?, batch.targets.len(), dense.bias.len());
    let recorder = Recorder::new(card)?;
    let names: Vec<String> = {
        let mut parts = Parts { base, head: dense };
        crate::ops::variable::Variables::trainable_variables_mut(&mut parts)
            .iter()
            .map(|v| v.name.clone())
            .collect()
    };
    let places = if let Input::Placed(_) = batch.input { n * (calls::PLACE + 1) } else { 0 };
    let words = Words::new(card, if batch.dropout.is_some() { n } else { 0 }, places, names.len())?;
    let (logits, d_logits) = (Pinned::new(card, n * units)?, Pinned::new(card, n * units)?);

    // Where the batch will be, with as many numbers as it has.
    let to = base.first_trainable_unit();
    let all = base.architecture.units.len();
    let zeros = |to: usize| {
        let (h, w, c) = base.output_of(to);
        crate::ops::cuda::zeros(&base.device, (n, h, w, c))
    };
    let (from, input) = match batch.input {
        Input::Frozen(values) if to == all => {
            let x = crate::ops::cuda::zeros(&base.device, (n, base.output_of(all).2))?;
            recorder.keep(x.clone());
            let input = (address(&x)?, values.len());
            (From::Features(x), input)
        }
        Input::Frozen(values) => {
            let x = zeros(to)?;
            recorder.keep(x.clone());
            let input = (address(&x)?, values.len());
            (From::Outputs(x), input)
        }
        Input::Images(values) => {
            let x = zeros(0)?;
            recorder.keep(x.clone());
            let input = (address(&x)?, values.len());
            (From::Images(x), input)
        }
        Input::Kept(kept) => {
            recorder.keep(kept.tensor().clone());
            (From::Images(kept.tensor().clone()), (0, 0))
        }
        Input::Placed(_) => {
            let x = zeros(0)?;
            recorder.keep(x.clone());
            (From::Images(x), (0, 0))
        }
    };
    let dropping = batch.dropout.map(|d| (words.keys(), d.dropout.rate));
    let (traced, forward) = recorder.capture(card, || {
        words.record()?;
        if let (Input::Placed(placed), From::Images(x)) = (batch.input, &from) {
            // SAFETY: the batch has room for the images, and the words are those of `Words::new`.
            unsafe { placed.make(card, words.places(), address(x)?) }?;
        }
        let traced = traced_logits(base, dense, from, dropping)?;
        // SAFETY: the logits are as many as there is room for, and the recorder keeps them.
        unsafe { logits.record_to_host(address(&traced)?) }?;
        Ok(traced)
    })?;
    let mut table: Vec<u64> = Vec::new();
    let (table_at, backward) = recorder.capture(card, || {
        let d_logits = &d_logits;
        let start = OnTape(d_logits as *const Pinned);
        let mut gradients = backward_by(traced, move |to| {
            let OnTape(d_logits) = start;
            // SAFETY: the tape runs here and now, where the numbers are borrowed; they live as long as the graph.
            unsafe { (*d_logits).record_to_card(to) }
        })?;
        let mut rule = None;
        let mut number = 0;
        optimizer.each_variable(&mut Parts { base, head: dense }, |r, variable, m, v| {
            let len = variable.shape().0;
            let w = address(variable)?;
            let g = crate::ops::cuda::gradient_of(&mut gradients, variable)?;
            let (m, v) = (m.map_or(Ok(0), |m| address(m))?, address(v)?);
            for start in (0..len).step_by(calls::PIECE) {
                let at = |address: u64| if address == 0 { 0 } else { address + 4 * start as u64 };
                table.extend([at(w), at(g), at(m), at(v), (len - start).min(calls::PIECE) as u64, number]);
            }
            number += 1;
            rule = Some(r);
            Ok(())
        })?;
        let table_at = card.memory(2 * table.len())?;
        if let Some(rule) = rule {
            let call = calls::update_all(rule, table_at.address(), words.rates(), table.len() / 6)?;
            // SAFETY: the table, which is copied below, has the addresses of what it says.
            unsafe { card.launch(call) }?;
        }
        recorder.keep(gradients);
        Ok(table_at)
    })?;
    let numbers: Vec<f32> =
        table.iter().flat_map(|v| [*v as u32, (*v >> 32) as u32]).map(f32::from_bits).collect();
    // SAFETY: memory of as many numbers.
    unsafe { copy::to_card(card, &numbers, table_at.address()) }?;
    recorder.keep(table_at);
    Ok(RecordedStep { forward, backward, input, words, logits, d_logits, names, recorder })
}

/// Pinned memory on its way into a closure that lives for ever, as a tape's must.
struct OnTape(*const Pinned);

/// Runs what was recorded.
fn replay(
    mut parts: Parts<'_, Cuda>,
    optimizer: &mut KerasOptimizer<Cuda>,
    key: &StepKey,
    batch: &TrainingBatch<'_>,
    loss: Loss,
    check: &dyn Fn(f64) -> Result<()>,
) -> Result<Step> {
    let (card, units) = (Card::get()?, parts.head.bias.len());
    let missing = || crate::Error::Device("A recorded step was expected. Received: none.".into());
    let names = std::mem::take(&mut optimizer.scratch.get(key).ok_or_else(missing)?.names);
    let before = optimizer.step();
    let rates = optimizer.count_step(&names);
    let step = optimizer.scratch.get(key).ok_or_else(missing)?;
    step.names = names;
    let mut run = || {
        // SAFETY: the forward pass of the last step, which copied the words and the logits, was waited for.
        let (keys, places, to_rates) = unsafe { step.words.host() };
        if let Some(dropout) = batch.dropout {
            for (to, key) in keys.chunks_exact_mut(2).zip(dropout.keys()) {
                to.copy_from_slice(&[key as u32, (key >> 32) as u32]);
            }
        }
        to_rates.iter_mut().zip(&rates).for_each(|(to, rate)| *to = rate.to_bits());
        match batch.input {
            Input::Placed(placed) => placed.words(places)?,
            Input::Kept(_) => (),
            Input::Images(values) | Input::Frozen(values) if values.len() == step.input.1 => {
                // SAFETY: as many numbers as there is room for.
                unsafe { copy::to_card(card, values, step.input.0) }?;
            }
            Input::Images(values) | Input::Frozen(values) => {
                return Err(crate::ops::backend::wrong_length(step.input.1, values.len()));
            }
        }
        // SAFETY: the recorder and the variables live, which the key says.
        unsafe { step.forward.launch(card) }?;
        card.synchronize()?;
        // SAFETY: the copy is done.
        let logits = unsafe { step.logits.floats() }.to_vec();
        let (value, d_logits) = loss_of(&logits, batch.targets, units, loss)?;
        check(value)?;
        // SAFETY: the backward pass of the last step, which copied them, is done, since the forward pass behind it is.
        unsafe { step.d_logits.floats() }.copy_from_slice(&d_logits);
        // SAFETY: as above.
        unsafe { step.backward.launch(card) }?;
        Ok(Step { loss: value, logits })
    };
    match run() {
        Ok(done) => {
            // Notes that the variables are others now.
            crate::ops::variable::Variables::trainable_variables_mut(&mut parts);
            Ok(done)
        }
        Err(e) => {
            optimizer.set_step(before);
            Err(e)
        }
    }
}

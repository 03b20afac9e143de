//! A step on a GPU. The first of its kind has a tape, as each on the CPU has; for the second a recording is made, which
//! runs for this and all further ones. All give the same bits.

use dfdx::prelude::{Cuda, Gradients, HasShape, OwnedTape, Shape, Trace};

use super::step::{differentiate, loss_of, take, Input, Step, StepBackend, TrainingBatch};
use crate::loss::Loss;
use crate::network::base::Base;
use crate::network::frozen::frozen_on_card;
use crate::network::with_head::{Head, Parts};
use crate::ops::backend::{Activations, Flat, Matrix};
use crate::ops::cuda::calls;
use crate::ops::cuda::folded::FoldTogether;
use crate::ops::cuda::recorded_step::{RecordedStep, Start, StepKey, Words};
use crate::ops::cuda::recording::{self, capture, Pinned, Recorder};
use crate::ops::cuda::{address, backward_by, copy, dropout, gradient_of, Card, HeadOnCard};
use crate::ops::head;
use crate::optim::KerasOptimizer;
use crate::{Error, Result};

impl StepBackend for Cuda {
    fn descend(
        parts: Parts<'_, Self>,
        optimizer: &mut KerasOptimizer<Self>,
        batch: TrainingBatch<'_>,
        loss: Loss,
        check: &dyn Fn(f64) -> Result<()>,
    ) -> Result<Step> {
        let _multiplying = parts.base.multiplying_as_in_training();
        let key = key_of(&parts, &batch)?;
        optimizer.scratch.forget_stale(&key);
        if optimizer.scratch.uses(&key) {
            return replay(parts, optimizer, &key, &batch, loss, check);
        }
        let Parts { base, head } = parts;
        if optimizer.scratch.is_due(&key) {
            match record(base, head, optimizer, &batch) {
                Ok(step) => {
                    optimizer.scratch.insert(key, step);
                    return replay(Parts { base, head }, optimizer, &key, &batch, loss, check);
                }
                // A recording holds the memory of a whole step: where that is too much, steps go on without. Where
                // the GPU has failed, the next step says so.
                Err(e) => optimizer.scratch.refuse(e.to_string()),
            }
        }
        let step = by_tape(Parts { base, head }, optimizer, batch, loss, check)?;
        optimizer.scratch.took(&key);
        Ok(step)
    }
}

/// A step by a tape; where memory is short, once more without the recordings of other steps.
fn by_tape(
    parts: Parts<'_, Cuda>,
    optimizer: &mut KerasOptimizer<Cuda>,
    batch: TrainingBatch<'_>,
    loss: Loss,
    check: &dyn Fn(f64) -> Result<()>,
) -> Result<Step> {
    let differentiated = differentiate(parts.base, parts.head, batch, loss).or_else(|e| match e {
        Error::Device(_) if optimizer.scratch.forget() => {
            optimizer.scratch.refuse(e.to_string());
            differentiate(parts.base, parts.head, batch, loss)
        }
        e => Err(e),
    });
    take(parts, optimizer, differentiated?, check)
}

fn key_of(parts: &Parts<'_, Cuda>, batch: &TrainingBatch<'_>) -> Result<StepKey> {
    let start = match batch.input {
        Input::Images(_) => Start::Images,
        Input::Frozen(_) => Start::Frozen,
        Input::Kept(kept) => Start::Kept(address(kept.tensor())?),
        Input::Placed(placed) => {
            let r = placed.rescaling();
            Start::Placed(placed.first(), [r.scale, r.offset].map(|three| three.map(f32::to_bits)))
        }
    };
    let images = batch.targets.len();
    if let Input::Kept(kept) = batch.input {
        let found = kept.tensor().shape().0;
        if found != images {
            return Err(Error::Shape(format!(
                "{images} images were expected on the GPU. Received: {found}."
            )));
        }
    }
    Ok(StepKey {
        images,
        start,
        base: parts.base.number(),
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

/// Where the batch will be: room of its size that stays as long as the recording, with its address and its count of
/// numbers. Images that are on the GPU already need no copy, and have 0 and 0.
fn room_for(
    base: &Base<Cuda>,
    recorder: &Recorder,
    batch: &TrainingBatch<'_>,
) -> Result<(From, (u64, usize))> {
    let n = batch.targets.len();
    let to = base.first_trainable_unit();
    let all = base.architecture.units.len();
    let zeros = |to: usize| {
        let (h, w, c) = base.output_of(to);
        let x = crate::ops::cuda::zeros(&base.device, (n, h, w, c))?;
        recorder.keep(x.clone());
        Ok::<_, Error>((address(&x)?, x))
    };
    Ok(match batch.input {
        Input::Frozen(_) if to == all => {
            let x = crate::ops::cuda::zeros(&base.device, (n, base.output_of(all).2))?;
            recorder.keep(x.clone());
            let input = (address(&x)?, x.shape().num_elements());
            (From::Features(x), input)
        }
        Input::Frozen(_) => {
            let (at, x) = zeros(to)?;
            let count = x.shape().num_elements();
            (From::Outputs(x), (at, count))
        }
        Input::Images(_) => {
            let (at, x) = zeros(0)?;
            let count = x.shape().num_elements();
            (From::Images(x), (at, count))
        }
        Input::Kept(kept) => {
            recorder.keep(kept.tensor().clone());
            (From::Images(kept.tensor().clone()), (0, 0))
        }
        Input::Placed(_) => (From::Images(zeros(0)?.1), (0, 0)),
    })
}

/// Records a step for batches like this one; nothing is computed.
fn record(
    base: &mut Base<Cuda>,
    dense: &mut Head<Cuda>,
    optimizer: &mut KerasOptimizer<Cuda>,
    batch: &TrainingBatch<'_>,
) -> Result<RecordedStep> {
    let (card, n, units) = (Card::get()?, batch.targets.len(), dense.bias.len());
    let recorder = recording::recorder(card)?;
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

    let to = base.first_trainable_unit();
    let all = base.architecture.units.len();
    let (from, input) = room_for(base, &recorder, batch)?;
    let dropping = batch.dropout.map(|d| (words.keys(), d.dropout.rate));
    let fold = fold_together(card, base)?;
    // Where nothing below the dense layer trains, there is nothing to trace.
    let head = match &from {
        From::Images(_) if to == all => HeadOnCard::new(&base.device, n, base.output_of(all).2, units)?,
        _ => None,
    };
    let (traced, forward) = capture(&recorder, card, || {
        words.record()?;
        if let (Input::Placed(placed), From::Images(x)) = (batch.input, &from) {
            // SAFETY: the batch has room for the images, and the words are those of `Words::new`.
            unsafe { placed.make(card, words.places(), address(x)?) }?;
        }
        fold.launch(card)?;
        if let (Some(head), From::Images(x)) = (&head, &from) {
            let x = frozen_on_card(base, x.clone(), to)?;
            // SAFETY: the keys are as many as images, and stay as long as the recording; so does the head, and the
            // logits are as many as there is room for.
            unsafe {
                head.forward(&x, dropping, &dense.kernel.tensor, &dense.bias.tensor)?;
                logits.record_to_host(head.logits()?)?;
            }
            return Ok(None);
        }
        let traced = traced_logits(base, dense, from, dropping)?;
        // SAFETY: as above.
        unsafe { logits.record_to_host(address(&traced)?) }?;
        Ok(Some(traced))
    })?;
    let ((), backward) = capture(&recorder, card, || {
        let mut gradients = record_backward(traced, head.as_ref(), &d_logits)?;
        let mut parts = Parts { base, head: dense };
        record_update(card, &recorder, optimizer, &mut parts, &mut gradients, words.rates())?;
        if let Found::OnTape(gradients) = gradients {
            recorder.keep(gradients);
        }
        Ok(())
    })?;
    if let Some(head) = head {
        recorder.keep(head);
    }
    recorder.keep(base.what_a_recording_keeps());
    recorder.keep([dense.kernel.tensor.clone(), dense.bias.tensor.clone()]);
    Ok(RecordedStep { forward, backward, input, words, logits, d_logits, names, recorder })
}

/// Records the way from the gradients by the logits to those of all variables that train.
fn record_backward(
    traced: Option<Matrix<Cuda, OwnedTape<f32, Cuda>>>,
    head: Option<&HeadOnCard>,
    d_logits: &Pinned,
) -> Result<Found> {
    Ok(match (traced, head) {
        (Some(traced), _) => {
            let start = OnTape(d_logits);
            Found::OnTape(backward_by(traced, move |to| {
                let OnTape(d_logits) = start;
                // SAFETY: the tape runs here and now, where the numbers are borrowed; they live as long as the
                // graph.
                unsafe { (*d_logits).record_to_card(to) }
            })?)
        }
        (None, Some(head)) => {
            // SAFETY: there is room for as many numbers, which lives as long as the graph.
            unsafe { d_logits.record_to_card(head.d_logits()) }?;
            head.backward()?;
            Found::OfHead(head.gradients().into_iter())
        }
        (None, None) => return Err(Error::Device("A recorded step has no gradients.".into())),
    })
}

/// Folds all convolutions now; those that train are folded again at the start of each step.
fn fold_together(card: &'static Card, base: &Base<Cuda>) -> Result<FoldTogether> {
    let mut fold = FoldTogether::new();
    for (conv, folded) in base.convs() {
        fold.add(card, folded, &conv, conv.trains.any())?;
    }
    Ok(fold)
}

/// Where the gradients of a recorded step are.
enum Found {
    OnTape(Gradients<f32, Cuda>),
    /// Of the only two variables that train, in order.
    OfHead(std::array::IntoIter<u64, 2>),
}

/// Records the step of all variables that train.
fn record_update(
    card: &'static Card,
    recorder: &Recorder,
    optimizer: &mut KerasOptimizer<Cuda>,
    parts: &mut Parts<'_, Cuda>,
    gradients: &mut Found,
    rates: u64,
) -> Result<()> {
    let (mut table, mut rule, mut number): (Vec<u64>, _, _) = (Vec::new(), None, 0);
    optimizer.each_variable(parts, |r, variable, m, v| {
        let (len, w) = (variable.shape().0, address(variable)?);
        let g = match gradients {
            Found::OnTape(gradients) => gradient_of(gradients, variable)?,
            Found::OfHead(two) => two
                .next()
                .ok_or_else(|| Error::Device("More than the head trains in a recorded step.".into()))?,
        };
        recorder.keep((m.as_ref().map(|m| Flat::clone(m)), v.clone()));
        let (m, v) = (m.map_or(Ok(0), |m| address(m))?, address(v)?);
        for start in (0..len).step_by(calls::PIECE) {
            let at = |address: u64| if address == 0 { 0 } else { address + 4 * start as u64 };
            table.extend([at(w), at(g), at(m), at(v), (len - start).min(calls::PIECE) as u64, number]);
        }
        number += 1;
        rule = Some(r);
        Ok(())
    })?;
    let Some(rule) = rule else { return Ok(()) };
    let at = recording::table(card, &table)?;
    // SAFETY: the table has the addresses of what it says.
    unsafe { card.launch(calls::update_all(rule, at.address(), rates, table.len() / 6)?) }
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
    let missing = || Error::Device("A recorded step was expected. Received: none.".into());
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
            Input::Images(_) | Input::Frozen(_) => {
                let values = batch.input.values().unwrap_or(&[]);
                if values.len() != step.input.1 {
                    return Err(crate::ops::backend::wrong_length(step.input.1, values.len()));
                }
                // SAFETY: as many numbers as there is room for.
                unsafe { copy::to_card(card, values, step.input.0) }?;
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

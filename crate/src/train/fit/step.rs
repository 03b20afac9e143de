//! One step of gradient descent on any device: the generic core of [`Model::fit`](crate::model::Model::fit).
//! What a batch is, when to step and what to say about it is `training.rs`' matter.

use dfdx::prelude::{
    AsArray, Backward, Cpu, Gradients, HasShape, OwnedTape, PutTape, Shape, SplitTape, Tape,
    Tensor as Traced, Trace,
};

use crate::loss::targets::Targets;
use crate::loss::Loss;
use crate::model::DropoutOfBatch;
use crate::network::base::Base;
use crate::network::frozen::NetworkBackend;
use crate::network::with_head::{Head, Parts};
#[cfg(feature = "cuda")]
use crate::ops::backend::Activations;
use crate::ops::backend::{device_error, Backend, Matrix};
use crate::ops::head;
use crate::ops::variable::Variables;
use crate::optim::KerasOptimizer;
use crate::train::fit::sums::Watch;
use crate::weights::{Tensor, Weights};
use crate::Result;
use transfer_kernels::Images;

/// What a step starts from.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    /// Augmented, preprocessed images.
    Images(Images<'a>),
    /// What the frozen part made of them.
    Frozen(&'a [f32]),
    /// Images that are on the GPU.
    #[cfg(feature = "cuda")]
    Placed(&'a crate::ops::cuda::Placed<'a>),
    /// Augmented, preprocessed images that are on the GPU.
    #[cfg(feature = "cuda")]
    Kept(&'a crate::ops::cuda::KeptBatch),
}

impl<'a> Input<'a> {
    /// The numbers, where they are all in host memory.
    pub fn values(self) -> Option<&'a [f32]> {
        match self {
            Input::Images(Images::InMemory(values)) | Input::Frozen(values) => Some(values),
            Input::Images(Images::Written(_)) => None,
            #[cfg(feature = "cuda")]
            Input::Placed(_) | Input::Kept(_) => None,
        }
    }

    /// Other numbers of the same kind; what is not in host memory stays.
    pub fn with<'b>(self, values: &'b [f32]) -> Input<'b>
    where
        'a: 'b,
    {
        match self {
            Input::Images(Images::InMemory(_)) => Input::Images(values.into()),
            Input::Frozen(_) => Input::Frozen(values),
            other => other,
        }
    }
}

/// A batch, ready for the device.
#[derive(Clone, Copy)]
pub(crate) struct TrainingBatch<'a> {
    pub input: Input<'a>,
    pub targets: &'a Targets,
    /// Where there is dropout.
    pub dropout: Option<DropoutOfBatch<'a>>,
}

/// What a step tells of its batch.
pub(crate) struct Step {
    pub loss: f64,
    pub logits: Vec<f32>,
}

/// A device that takes steps, each in its own way.
pub(crate) trait StepBackend: NetworkBackend {
    /// One step of gradient descent. `check` is given the loss; where it fails nothing is changed.
    ///
    /// # Errors
    /// That of `check`, and where the device fails.
    fn descend(
        parts: Parts<'_, Self>,
        optimizer: &mut KerasOptimizer<Self>,
        batch: TrainingBatch<'_>,
        loss: Loss,
        check: &dyn Fn(f64) -> Result<()>,
    ) -> Result<Step> {
        let differentiated = differentiate(parts.base, parts.head, batch, loss)?;
        take(parts, optimizer, differentiated, check)
    }
}

impl StepBackend for Cpu {}

/// Takes the step that these gradients ask for.
pub(super) fn take<D: NetworkBackend>(
    mut parts: Parts<'_, D>,
    optimizer: &mut KerasOptimizer<D>,
    mut step: Differentiated<D>,
    check: &dyn Fn(f64) -> Result<()>,
) -> Result<Step> {
    check(step.loss)?;
    optimizer.apply(&mut parts, &mut step.gradients)?;
    Ok(Step { loss: step.loss, logits: step.logits })
}

/// Logits `(n, units)` with a tape that reaches down to the first layer that trains. Whoever watches is told of the
/// gradients of each unit when they are there.
fn traced_logits<D: NetworkBackend>(
    base: &Base<D>,
    dense: &Head<D>,
    batch: TrainingBatch<'_>,
    mut watch: Option<&mut Watch<D>>,
) -> Result<Matrix<D, OwnedTape<f32, D>>> {
    let n = batch.targets.len();
    let to = base.first_trainable_unit();
    let all_frozen = to == base.architecture.units.len();
    let mut features = if all_frozen {
        let features = match batch.input {
            Input::Images(images) => base.frozen_features(images, n)?,
            Input::Frozen(values) => base.features_from(&base.device, values, n)?,
            #[cfg(feature = "cuda")]
            Input::Placed(_) | Input::Kept(_) => {
                head::global_average_pooling(D::frozen_on_device(base, on_card(base, batch.input)?, to)?)?
            }
        };
        features.leaky_traced()
    } else {
        let x = match batch.input {
            Input::Images(images) => base.frozen_activations(images, n, to)?,
            Input::Frozen(values) => base.activations_from(&base.device, values, n, to)?,
            #[cfg(feature = "cuda")]
            Input::Placed(_) | Input::Kept(_) => D::frozen_on_device(base, on_card(base, batch.input)?, to)?,
        };
        let units = base.architecture.units.len();
        let mut x = x.leaky_traced();
        match &mut watch {
            None => x = base.forward(x, to)?,
            Some(watch) => {
                for unit in to..units {
                    x = base.forward_units(watched(x, watch, unit), unit..unit + 1)?;
                }
            }
        }
        head::global_average_pooling(x)?
    };
    if let Some(watch) = watch {
        features = watched(features, watch, base.architecture.units.len());
    }
    if let Some(dropout) = batch.dropout {
        let factors = dropout.factors(features.shape().1);
        features = head::scale(features, factors)?;
    }
    head::dense(features, &dense.kernel.tensor, &dense.bias.tensor, !all_frozen)
}

/// `x` with an entry on its tape that runs behind the backward of `unit`, which `x` goes into.
fn watched<S: Shape, D: NetworkBackend>(
    x: Traced<S, f32, D, OwnedTape<f32, D>>,
    watch: &mut Watch<D>,
    unit: usize,
) -> Traced<S, f32, D, OwnedTape<f32, D>> {
    let (x, mut tape) = x.split_tape();
    let behind = watch.behind(unit);
    tape.add_backward_op(move |gradients| {
        behind(gradients);
        Ok(())
    });
    x.put_tape(tape)
}

/// Images that are on the GPU, as a batch.
#[cfg(feature = "cuda")]
fn on_card<D: NetworkBackend>(base: &Base<D>, input: Input<'_>) -> Result<Activations<D>> {
    match input {
        Input::Placed(placed) => D::placed(&base.device, placed),
        Input::Kept(kept) => D::kept(kept),
        Input::Images(_) | Input::Frozen(_) => Err(crate::Error::Device(
            "Images on the GPU were expected. Received: numbers of the host.".into(),
        )),
    }
}

/// What one forward and backward pass gives.
pub(crate) struct Differentiated<D: Backend> {
    /// The mean loss of the batch.
    pub loss: f64,
    /// The logits, `n · units` numbers.
    pub logits: Vec<f32>,
    /// The gradients of everything that trains.
    pub gradients: Gradients<f32, D>,
}

/// Loss, logits and gradients of a batch, in training mode.
///
/// The loss and its gradient by the logits are computed on the host, for each device: they are a few numbers, which
/// the host reads in any case, and dfdx sums with atomics on a GPU. So the same logits have the same loss on each
/// device.
pub(crate) fn differentiate<D: NetworkBackend>(
    base: &Base<D>,
    dense: &Head<D>,
    batch: TrainingBatch<'_>,
    loss: Loss,
) -> Result<Differentiated<D>> {
    differentiate_for(base, dense, batch, loss, None)
}

/// The same for somebody who takes each gradient as soon as it is there.
pub(super) fn differentiate_for<D: NetworkBackend>(
    base: &Base<D>,
    dense: &Head<D>,
    batch: TrainingBatch<'_>,
    loss: Loss,
    watch: Option<&mut Watch<D>>,
) -> Result<Differentiated<D>> {
    let (targets, units) = (batch.targets, dense.bias.len());
    // Backward as forward.
    let _multiplying = base.multiplying_as_in_training();
    let logits = traced_logits(base, dense, batch, watch)?;
    let values = D::read(&logits)?;
    let (value, d_logits) = loss_of(&values, targets, units, loss)?;
    Ok(Differentiated { loss: value, logits: values, gradients: D::backward_from(logits, &d_logits)? })
}

/// The mean loss of logits `(n, units)`, and its gradient.
pub(super) fn loss_of(
    logits: &[f32],
    targets: &Targets,
    units: usize,
    loss: Loss,
) -> Result<(f64, Vec<f32>)> {
    let host = Cpu::default();
    let on_host = Cpu::tensor(&host, (targets.len(), units), logits)?;
    let traced = loss.traced(on_host.leaky_trace(), targets, units, &host)?;
    let value = f64::from(traced.array());
    Ok((value, Cpu::read(&traced.try_backward().map_err(device_error)?.get(&on_host))?))
}

/// The gradients of a batch by name, in host memory.
pub(crate) fn named_gradients<D: NetworkBackend>(
    base: &mut Base<D>,
    dense: &mut Head<D>,
    batch: TrainingBatch<'_>,
    loss: Loss,
) -> Result<Weights> {
    let step = differentiate(base, dense, batch, loss)?;
    let mut out = Weights::new();
    for v in (Parts { base, head: dense }).trainable_variables_mut() {
        let values = D::read(&step.gradients.get(&v.tensor))?;
        out.insert(v.name.clone(), Tensor::new(v.shape.clone(), values)?);
    }
    Ok(out)
}

/// What the dense layer gets of `n` outputs of the frozen part, without a tape: `(n, channels)`.
pub(crate) fn pooled<D: NetworkBackend>(base: &Base<D>, frozen: &[f32], n: usize) -> Result<Vec<f32>> {
    let device = base.device.lend();
    D::read(&pooled_on(&*device, base, frozen, n)?)
}

fn pooled_on<D: NetworkBackend>(device: &D, base: &Base<D>, frozen: &[f32], n: usize) -> Result<Matrix<D>> {
    let to = base.first_trainable_unit();
    if to == base.architecture.units.len() {
        base.features_from(device, frozen, n)
    } else {
        let x = base.activations_from(device, frozen, n, to)?;
        head::global_average_pooling(base.forward(x, to)?)
    }
}

/// [`logits`], and behind them what the dense layer gets.
pub(crate) fn logits_and_pooled<D: NetworkBackend>(
    base: &Base<D>,
    dense: &Head<D>,
    frozen: &[f32],
    n: usize,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let device = base.device.lend();
    let x = pooled_on(&*device, base, frozen, n)?;
    let pooled = D::read(&x)?;
    Ok((D::read(&head::dense(x, &dense.kernel.tensor, &dense.bias.tensor, false)?)?, pooled))
}

/// The logits of `n` outputs of the frozen part, without a tape.
pub(crate) fn logits<D: NetworkBackend>(
    base: &Base<D>,
    dense: &Head<D>,
    frozen: &[f32],
    n: usize,
) -> Result<Vec<f32>> {
    let device = base.device.lend();
    let x = pooled_on(&*device, base, frozen, n)?;
    D::read(&head::dense(x, &dense.kernel.tensor, &dense.bias.tensor, false)?)
}

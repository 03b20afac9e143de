//! Adam and RMSprop with Keras' semantics, behind dfdx's [`Optimizer`] trait.
//!
//! dfdx has optimizers of these names, but its RMSprop starts from ones where Keras' starts from
//! zeros, and their state is private, so a run could not be saved and resumed. The formulas here are
//! those of `tf_keras.optimizers`:
//!
//! ```text
//! Adam     m += (1−β₁)(g−m);  v += (1−β₂)(g²−v);  w −= lr·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√v + ε)
//! RMSprop  v = ρv + (1−ρ)g²;  w −= lr · g/√(v + ε)
//! ```
//!
//! ```
//! use transfer::optim::{Adam, OptimizerConfig};
//! let optimizer: OptimizerConfig = Adam::new(1e-4).into();
//! assert_eq!(optimizer.learning_rate(), 1e-4);
//! ```

mod layer_rates;
pub(crate) mod lbfgs;
mod schedule;

pub use layer_rates::LayerRates;
pub use schedule::{CosineDecay, OneCycle, Schedule};

use std::collections::{BTreeMap, HashMap};

use dfdx::optim::{Optimizer, OptimizerUpdateError};
use dfdx::prelude::{Gradients, HasShape};

use crate::ops::backend::{wrong_length, Backend, Flat};
use crate::ops::variable::Variables;
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};
use transfer_kernels::optimizer::UpdateRule;

/// Adam (Kingma & Ba 2014, <https://arxiv.org/abs/1412.6980>) with Keras' defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size; the first thing to change when the loss does not fall (larger) or jumps (smaller).
    pub learning_rate: f32,
    /// Decay of the running mean of gradients; rarely changed.
    pub beta_1: f32,
    /// Decay of the running mean of squared gradients; rarely changed.
    pub beta_2: f32,
    /// Keeps the quotient finite; raise it if single steps are wild.
    pub epsilon: f32,
}

impl Adam {
    /// Adam with this learning rate.
    pub fn new(learning_rate: f32) -> Self {
        Adam { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

/// RMSprop (Hinton, lecture 6e of "Neural Networks for Machine Learning", 2012) with Keras' defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Step size; see [`Adam::learning_rate`].
    pub learning_rate: f32,
    /// Decay of the running mean of squared gradients; rarely changed.
    pub rho: f32,
    /// Keeps the quotient finite.
    pub epsilon: f32,
}

impl RmsProp {
    /// RMSprop with this learning rate.
    pub fn new(learning_rate: f32) -> Self {
        RmsProp { learning_rate, rho: 0.9, epsilon: 1e-7 }
    }
}

/// Which optimizer, with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptimizerConfig {
    /// Adam.
    Adam(Adam),
    /// RMSprop.
    RmsProp(RmsProp),
}

impl From<Adam> for OptimizerConfig {
    fn from(a: Adam) -> Self {
        OptimizerConfig::Adam(a)
    }
}

impl From<RmsProp> for OptimizerConfig {
    fn from(r: RmsProp) -> Self {
        OptimizerConfig::RmsProp(r)
    }
}

impl OptimizerConfig {
    /// The step size.
    pub fn learning_rate(&self) -> f32 {
        match self {
            OptimizerConfig::Adam(a) => a.learning_rate,
            OptimizerConfig::RmsProp(r) => r.learning_rate,
        }
    }

    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let (rate, decays, epsilon) = match *self {
            OptimizerConfig::Adam(a) => (a.learning_rate, [a.beta_1, a.beta_2], a.epsilon),
            OptimizerConfig::RmsProp(r) => (r.learning_rate, [r.rho, r.rho], r.epsilon),
        };
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(Error::Invalid(format!(
                "An optimizer expected a finite learning rate of at least 0, such as 0.0001. Received: {rate}"
            )));
        }
        if decays.iter().any(|d| !(0.0..1.0).contains(d)) {
            return Err(Error::Invalid(format!(
                "An optimizer expected decays in 0.0..1.0, such as 0.9. Received: {decays:?}"
            )));
        }
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::Invalid(format!(
                "An optimizer expected an epsilon above 0, such as 1e-7. Received: {epsilon}"
            )));
        }
        Ok(())
    }
}

/// The moments of one variable.
#[derive(Debug)]
struct Slots<D: Backend> {
    m: Option<Flat<D>>,
    v: Flat<D>,
}

/// An optimizer with its state, for models on device `D`.
#[derive(Debug)]
pub struct KerasOptimizer<D: Backend> {
    config: OptimizerConfig,
    step: u64,
    slots: BTreeMap<String, Slots<D>>,
    /// Of the next step.
    rate: f64,
    /// Factors on it for variables that have another than 1.
    factors: HashMap<String, f64>,
    /// What the device keeps from step to step.
    pub(crate) scratch: D::StepScratch,
}

impl<D: Backend> KerasOptimizer<D> {
    /// An optimizer before its first step.
    ///
    /// # Errors
    /// Where a setting is out of range.
    pub fn new(config: OptimizerConfig) -> Result<Self> {
        config.check()?;
        let rate = f64::from(config.learning_rate());
        Ok(KerasOptimizer {
            config,
            step: 0,
            slots: BTreeMap::new(),
            rate,
            factors: HashMap::new(),
            scratch: Default::default(),
        })
    }

    /// The learning rate of the next step: that of its settings, unless a schedule has changed it.
    pub fn learning_rate(&self) -> f64 {
        self.rate
    }

    /// Sets the learning rate of the next steps.
    pub(crate) fn set_learning_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// Sets the factors on the learning rate by the names of variables; 1 where there is none.
    pub(crate) fn set_factors(&mut self, factors: HashMap<String, f64>) {
        self.factors = factors;
    }

    /// Its settings.
    pub fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Its moments by the names of their variables, `m/…` (Adam's alone) and `v/…`: with
    /// [`step`](Self::step) all that it remembers.
    pub(crate) fn moments(&self) -> Result<Weights> {
        let mut moments = Weights::new();
        for (name, slots) in &self.slots {
            for (kind, values) in [("m", slots.m.as_ref()), ("v", Some(&slots.v))] {
                if let Some(values) = values {
                    let tensor = Tensor::new([values.shape().0], D::read(values)?)?;
                    moments.insert(format!("{kind}/{name}"), tensor);
                }
            }
        }
        Ok(moments)
    }

    /// Whether no moment is NaN or infinite.
    pub(crate) fn is_finite(&self) -> Result<bool> {
        for moment in self.slots.values().flat_map(|slots| slots.m.iter().chain([&slots.v])) {
            if D::read(moment)?.iter().any(|v| !v.is_finite()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes on after `step` steps with these moments; whether they fit the model's variables is the
    /// caller's to check. Nothing changes where this fails.
    pub(crate) fn restore(&mut self, device: &D, step: u64, moments: &Weights) -> Result<()> {
        let load = |tensor: &Tensor| {
            let mut flat: Flat<D> = D::zeroed(device, (tensor.data.len(),))?;
            D::write(&mut flat, &tensor.data)?;
            Ok::<_, Error>(flat)
        };
        let with_m = matches!(self.config, OptimizerConfig::Adam(_));
        let mut slots = BTreeMap::new();
        for (name, v) in moments {
            let Some(variable) = name.strip_prefix("v/") else { continue };
            let m = if with_m { Some(load(moments.get(&format!("m/{variable}"))?)?) } else { None };
            slots.insert(variable.to_owned(), Slots { m, v: load(v)? });
        }
        (self.step, self.slots, self.scratch) = (step, slots, Default::default());
        Ok(())
    }

    /// Back to the learning rate of the settings, for all variables.
    pub(crate) fn reset_rates(&mut self) {
        (self.rate, self.factors) = (f64::from(self.config.learning_rate()), HashMap::new());
    }

    /// The rule of step `t` (from 1) with a learning rate.
    fn rule(&self, t: u64, rate: f64) -> UpdateRule {
        match self.config {
            OptimizerConfig::Adam(a) => {
                let t = t as f64;
                let correction =
                    (1.0 - f64::from(a.beta_2).powf(t)).sqrt() / (1.0 - f64::from(a.beta_1).powf(t));
                UpdateRule::Adam {
                    rate: (rate * correction) as f32,
                    beta_1: a.beta_1,
                    beta_2: a.beta_2,
                    epsilon: a.epsilon,
                }
            }
            OptimizerConfig::RmsProp(r) => {
                UpdateRule::RmsProp { rate: rate as f32, rho: r.rho, epsilon: r.epsilon }
            }
        }
    }

    /// One step with the gradients of the trainable variables; one that has none counts as zero. They
    /// are used where they are, without a copy, hence the `&mut`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn apply<M: Variables<D>>(&mut self, model: &mut M, grads: &mut Gradients<f32, D>) -> Result<()> {
        self.step += 1;
        self.each_variable(model, |rule, variable, m, v| D::update(rule, variable, grads, m, v))
    }

    /// One step with gradients in host memory: `gradient` gives that of each variable that trains, by its place among
    /// them.
    ///
    /// # Errors
    /// Where one has not as many numbers as its variable, or the device fails.
    pub(crate) fn apply_values<'a, M: Variables<D>>(
        &mut self,
        model: &mut M,
        gradient: impl Fn(usize) -> &'a [f32],
    ) -> Result<()> {
        for (place, variable) in model.trainable_variables_mut().into_iter().enumerate() {
            let (expected, received) = (variable.len(), gradient(place).len());
            if expected != received {
                return Err(wrong_length(expected, received));
            }
        }
        self.step += 1;
        let mut places = 0..;
        self.each_variable(model, |rule, variable, m, v| {
            D::update_by(rule, variable, gradient(places.next().unwrap_or_default()), m, v)
        })
    }

    /// Calls `f` for each variable that trains, with the rule of this step and the variable's moments, which are made
    /// where there are none.
    pub(crate) fn each_variable<M: Variables<D>>(
        &mut self,
        model: &mut M,
        mut f: impl FnMut(UpdateRule, &mut Flat<D>, Option<&mut Flat<D>>, &mut Flat<D>) -> Result<()>,
    ) -> Result<()> {
        let with_m = matches!(self.config, OptimizerConfig::Adam(_));
        for variable in model.trainable_variables_mut() {
            if !self.slots.contains_key(&variable.name) {
                let zeros = || D::zeroed(variable.tensor.device(), *variable.tensor.shape());
                let slots = Slots { m: if with_m { Some(zeros()?) } else { None }, v: zeros()? };
                self.slots.insert(variable.name.clone(), slots);
            }
            let rule = self.rule_of(&variable.name);
            if let Some(slots) = self.slots.get_mut(&variable.name) {
                f(rule, &mut variable.tensor, slots.m.as_mut(), &mut slots.v)?;
            }
        }
        Ok(())
    }

    /// The rule of this step for a variable.
    fn rule_of(&self, name: &str) -> UpdateRule {
        let factor = self.factors.get(name).copied().unwrap_or(1.0);
        self.rule(self.step, self.rate * factor)
    }

    /// Takes back the steps behind `step`, which have changed nothing.
    #[cfg(feature = "cuda")]
    pub(crate) fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Counts a step that the device takes by itself; gives the learning rate of each of these variables in it.
    #[cfg(feature = "cuda")]
    pub(crate) fn count_step(&mut self, names: &[String]) -> Vec<f32> {
        self.step += 1;
        let rate = |name: &String| match self.rule_of(name) {
            UpdateRule::Adam { rate, .. } | UpdateRule::RmsProp { rate, .. } => rate,
        };
        names.iter().map(rate).collect()
    }
}

impl<M: Variables<D>, D: Backend> Optimizer<M, D, f32> for KerasOptimizer<D> {
    fn update(
        &mut self,
        module: &mut M,
        gradients: &Gradients<f32, D>,
    ) -> std::result::Result<(), OptimizerUpdateError<D::Err>> {
        match self.apply(module, &mut gradients.clone()) {
            Ok(()) => Ok(()),
            // dfdx's error carries the device's own type, which only the device can make.
            Err(_) => Err(OptimizerUpdateError::UnusedParams(Default::default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::variable::Variable;
    use dfdx::prelude::*;

    struct One(Variable<Cpu>);
    impl Variables<Cpu> for One {
        fn trainable_variables_mut(&mut self) -> Vec<&mut Variable<Cpu>> {
            vec![&mut self.0]
        }
    }

    /// Runs `steps` on `w ↦ Σ a·w²` and returns `w` after each.
    fn run(config: OptimizerConfig, steps: usize) -> Vec<f32> {
        let dev = Cpu::default();
        let mut model = One(Variable::zeros(&dev, "w".into(), &[2]).unwrap());
        Cpu::write(&mut model.0.tensor, &[1.0, -2.0]).unwrap();
        let mut optimizer = KerasOptimizer::new(config).unwrap();
        let mut seen = Vec::new();
        for _ in 0..steps {
            let w = model.0.tensor.leaky_trace();
            let loss = (w.square() * 3.0).sum::<Rank0, _>();
            let grads = loss.backward();
            Optimizer::update(&mut optimizer, &mut model, &grads).unwrap();
            seen.extend(model.0.tensor.as_vec());
        }
        seen
    }

    #[test]
    fn adam_follows_the_formula_of_keras() {
        let (mut w, mut m, mut v) = ([1.0f64, -2.0], [0.0; 2], [0.0; 2]);
        let ours = run(Adam::new(0.1).into(), 5);
        for t in 1..=5 {
            for i in 0..2 {
                let g = 6.0 * w[i];
                m[i] += 0.1 * (g - m[i]);
                v[i] += 0.001 * (g * g - v[i]);
                let rate = 0.1 * (1.0 - 0.999f64.powi(t)).sqrt() / (1.0 - 0.9f64.powi(t));
                w[i] -= rate * m[i] / (v[i].sqrt() + 1e-7);
                assert!((w[i] - f64::from(ours[(t as usize - 1) * 2 + i])).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn rmsprop_starts_from_zero_as_keras_does() {
        let (mut w, mut v) = ([1.0f64, -2.0], [0.0; 2]);
        let ours = run(RmsProp::new(0.01).into(), 5);
        for t in 0..5 {
            for i in 0..2 {
                let g = 6.0 * w[i];
                v[i] = 0.9 * v[i] + 0.1 * g * g;
                w[i] -= 0.01 * g / (v[i] + 1e-7).sqrt();
                assert!((w[i] - f64::from(ours[t * 2 + i])).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_variable_with_a_factor_learns_as_with_that_part_of_the_rate() {
        for config in [OptimizerConfig::from(Adam::new(0.1)), RmsProp::new(0.1).into()] {
            let after = |rate: f64, factor: f64| {
                let mut model = One(Variable::zeros(&Cpu::default(), "w".into(), &[2]).unwrap());
                Cpu::write(&mut model.0.tensor, &[1.0, -2.0]).unwrap();
                let mut optimizer = KerasOptimizer::new(config).unwrap();
                optimizer.set_learning_rate(rate);
                optimizer.set_factors([("w".to_owned(), factor)].into());
                let grads = model.0.tensor.leaky_trace().square().sum::<Rank0, _>().backward();
                Optimizer::update(&mut optimizer, &mut model, &grads).unwrap();
                model.0.tensor.as_vec()
            };
            assert_eq!(after(0.1, 0.25), after(0.025, 1.0));
            assert_eq!(after(0.1, 0.0), [1.0, -2.0]);
            assert_ne!(after(0.1, 0.25), after(0.1, 1.0));
        }
    }

    #[test]
    fn a_negative_learning_rate_is_refused_with_a_hint() {
        let error = KerasOptimizer::<Cpu>::new(Adam::new(-1.0).into()).unwrap_err().to_string();
        assert!(error.contains("Received: -1"), "{error}");
    }
}

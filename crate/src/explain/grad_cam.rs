//! Grad-CAM: which places of a photograph speak for a class.
//!
//! For a class's logit `y` and the last activations `A` (h', w', channels), Grad-CAM (Selvaraju et
//! al. 2017, <https://arxiv.org/abs/1610.02391>) weights each channel by the mean of its gradient and
//! shows what is positive:
//!
//! ```text
//! α_k = 1/(h'w') · Σ_ij ∂y/∂A_ijk        heat = ReLU(Σ_k α_k A_k)
//! ```
//!
//! Here only the mean over height and width and the dense layer follow, `y = b + Σ_k w_k · mean(A_k)`,
//! so `∂y/∂A_ijk = w_k/(h'w')` everywhere: no gradient needs to be computed, and Grad-CAM is the class
//! activation map of Zhou et al. 2016 (<https://arxiv.org/abs/1512.04150>), exactly. Before ReLU the
//! cells' sum and the bias are the logit.
//!
//! Classes, probabilities and cells come from one pass over the photographs as they are, also where
//! [`Model::set_test_time_flip`] has predictions averaged over mirror images: a map is of one photograph.

use ndarray::{s, Array2, Array3, Array4, Axis};

use crate::model::Model;
#[cfg(feature = "plot")]
use crate::plot::{grad_cam_figure, Figure};
use crate::train::{check_outputs, Predictions};
use crate::{Error, Result};

/// Photographs and what in them speaks for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct GradCam {
    /// The photographs (n, h, w, 3), 0..255.
    pub images: Array4<f32>,
    /// The class that each map is about.
    pub classes: Vec<u32>,
    /// The probability of that class for each photograph as it is: without its mirror image, which `predict` may
    /// take into account.
    pub probabilities: Vec<f32>,
    /// What each place of the last activations adds to the class's logit (n, h', w'), before ReLU. Their
    /// sum and the dense layer's bias are the logit.
    pub cells: Array3<f32>,
    /// The cells after ReLU, enlarged bilinearly to the photographs' size, (n, h, w).
    pub heat_maps: Array3<f32>,
}

/// One pass over photographs.
struct Seen {
    activations: Array4<f32>,
    /// The dense layer's, (channels, units).
    kernel: Vec<f32>,
    predictions: Predictions,
}

impl Model {
    /// The heat map (h, w) of one photograph (h, w, 3), 0..255: 0 where nothing speaks for the
    /// predicted class, more where more does.
    ///
    /// # Errors
    /// Where the image has another size than the model's.
    pub fn grad_cam(&self, image: &Array3<f32>) -> Result<Array2<f32>> {
        let maps = self.grad_cams(&image.clone().insert_axis(Axis(0)))?;
        Ok(maps.heat_maps.index_axis_move(Axis(0), 0))
    }

    /// Heat maps of a batch of photographs (n, h, w, 3), 0..255, each for the class that is predicted for it
    /// without its mirror image.
    ///
    /// # Errors
    /// Where the images have another size than the model's.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let maps = model.grad_cams(&test.first_batch()?.images)?;
    /// maps.figure(test.class_names())?.save("where_it_looks.png")?;
    /// # Ok(()) }
    /// ```
    pub fn grad_cams(&self, images: &Array4<f32>) -> Result<GradCam> {
        let seen = self.look(images)?;
        let predicted = seen.predictions.labels();
        self.heat(images, seen, &predicted)
    }

    /// Heat maps of a batch of photographs for other classes than the predicted ones: what speaks for
    /// `classes[i]` in photograph `i`.
    ///
    /// # Errors
    /// Where the images have another size than the model's, there is not one class for each, or the
    /// model knows no such class.
    pub fn grad_cams_of(&self, images: &Array4<f32>, classes: &[u32]) -> Result<GradCam> {
        if classes.len() != images.dim().0 {
            return Err(Error::Shape(format!(
                "Grad-CAM expected one class for each of {} images. Received: {} classes",
                images.dim().0,
                classes.len()
            )));
        }
        self.heat(images, self.look(images)?, classes)
    }

    /// The last activations of photographs, and what the head makes of them.
    fn look(&self, images: &Array4<f32>) -> Result<Seen> {
        if self.net.base.is_features() {
            return Err(Error::Invalid(
                "Grad-CAM expected a network of this crate, whose last layer tells places apart. Received: a model on the \
                 features of an ONNX file, which are one vector for the whole photograph"
                    .into(),
            ));
        }
        let scaled = match &self.rescaling {
            Some(rescaling) => rescaling.apply_batch(images.clone()),
            None => images.clone(),
        };
        let activations = self.net.base.call(&scaled)?;
        let (n, h, w, _) = activations.dim();
        let units = self.units();
        let (kernel, bias) = self.net.head_values()?;
        let mut logits = Vec::with_capacity(n * units);
        for of_image in activations.outer_iter() {
            let mut sums = vec![0.0; units];
            for place in of_image.rows() {
                for (&x, weights) in place.iter().zip(kernel.chunks_exact(units)) {
                    sums.iter_mut().zip(weights).for_each(|(sum, &w)| *sum += f64::from(x) * f64::from(w));
                }
            }
            logits
                .extend(sums.iter().zip(&bias).map(|(sum, &b)| (sum / (h * w) as f64 + f64::from(b)) as f32));
        }
        check_outputs(&logits, units, |i| format!("image {i} of the batch"))?;
        let predictions = self.predictions(logits, (0..n).collect(), Vec::new())?;
        Ok(Seen { activations, kernel, predictions })
    }

    fn heat(&self, images: &Array4<f32>, seen: Seen, classes: &[u32]) -> Result<GradCam> {
        let Seen { activations, kernel, predictions } = seen;
        let probabilities = predictions.probabilities();
        let known = probabilities.ncols();
        if let Some(class) = classes.iter().find(|&&class| class as usize >= known) {
            return Err(Error::Invalid(format!(
                "Grad-CAM expected classes from 0 to {}. Received: {class}",
                known - 1
            )));
        }
        let (n, h, w, channels) = activations.dim();
        let units = self.units();
        let mut cells = Array3::zeros((n, h, w));
        for (i, &class) in classes.iter().enumerate() {
            // One output is the logit of class 1; that of class 0 is its negative.
            let (column, sign) = match units {
                1 => (0, if class == 1 { 1.0 } else { -1.0 }),
                _ => (class as usize, 1.0),
            };
            let weight = |k: usize| f64::from(kernel[k * units + column]) * sign / (h * w) as f64;
            for y in 0..h {
                for x in 0..w {
                    let place = activations.slice(s![i, y, x, ..]);
                    let sum: f64 = (0..channels).map(|k| weight(k) * f64::from(place[k])).sum();
                    cells[(i, y, x)] = sum as f32;
                }
            }
        }
        let (_, height, width, _) = images.dim();
        let heat_maps = enlarged(&cells.mapv(|cell: f32| cell.max(0.0)), (height, width));
        Ok(GradCam {
            images: images.clone(),
            classes: classes.to_vec(),
            probabilities: classes.iter().enumerate().map(|(i, &c)| probabilities[[i, c as usize]]).collect(),
            cells,
            heat_maps,
        })
    }
}

impl GradCam {
    /// The first eight photographs, each beside itself under its heat map and below the name of the
    /// class that the map is about.
    ///
    /// # Errors
    /// Where a class has no name, or as [`grad_cam_figure`].
    #[cfg(feature = "plot")]
    pub fn figure(&self, class_names: &[String]) -> Result<Figure> {
        let title = |(&class, &probability): (&u32, &f32)| match class_names.get(class as usize) {
            Some(name) => Ok(format!("what speaks for {name} ({})", crate::plot::percent(probability))),
            None => Err(Error::Invalid(format!(
                "Grad-CAM expected a name for class {class}. Received {} class names",
                class_names.len()
            ))),
        };
        let titles = self.classes.iter().zip(&self.probabilities).map(title).collect::<Result<Vec<_>>>()?;
        grad_cam_figure(&self.images, &self.heat_maps, &titles)
    }
}

/// Bilinear, with pixels' centres at halves and the border repeated, as `tf.image.resize`.
fn enlarged(maps: &Array3<f32>, (height, width): (usize, usize)) -> Array3<f32> {
    let (n, h, w) = maps.dim();
    let place = |i: usize, from: usize, to: usize| {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
        (at as usize, (at as usize + 1).min(from - 1), at.fract())
    };
    Array3::from_shape_fn((n, height, width), |(i, y, x)| {
        let ((upper, lower, down), (left, right, across)) = (place(y, h, height), place(x, w, width));
        let row = |y: usize| maps[(i, y, left)] * (1.0 - across) + maps[(i, y, right)] * across;
        row(upper) * (1.0 - down) + row(lower) * down
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dense, GlobalAveragePooling2D};
    use crate::network::{random_weights, MobileNetV2};
    use crate::ops::{head, view};
    use crate::preprocess::Rescaling;
    use crate::random::Rng;
    use dfdx::prelude::{Cpu, TensorFromVec};

    const SIZE: usize = 64;

    fn model(units: usize) -> Model {
        let weights = random_weights();
        Model::chain()
            .then(Rescaling::new(1.0 / 127.5, -1.0))
            .then(MobileNetV2::with_weights((SIZE, SIZE, 3), &weights).unwrap())
            .then(GlobalAveragePooling2D)
            .then(Dense::new(units).seed(7))
            .seed(7)
            .build()
            .unwrap()
    }

    fn images(n: usize) -> Array4<f32> {
        let mut rng = Rng::new(&[n as u64]);
        Array4::from_shape_simple_fn((n, SIZE, SIZE, 3), || rng.uniform() * 255.0)
    }

    /// The logits that the model's own pooling and dense layer make of activations.
    fn logits(model: &Model, activations: &Array4<f32>) -> Vec<f64> {
        let values = activations.iter().copied().collect();
        let cpu = Cpu::default();
        let x = cpu.try_tensor_from_vec(values, activations.dim()).unwrap();
        let pooled = head::global_average_pooling(x).unwrap();
        let (kernel, bias) = model.net.head_values().unwrap();
        let kernel = cpu.tensor_from_vec(kernel.clone(), (kernel.len(),));
        let bias = cpu.tensor_from_vec(bias.clone(), (bias.len(),));
        let y = head::dense(pooled, &kernel, &bias, false).unwrap();
        view::slice(&y).iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn it_is_grad_cam_with_gradients_by_finite_differences() {
        for (units, class, sign) in [(1, 1, 1.0), (1, 0, -1.0), (3, 2, 1.0)] {
            let (model, images) = (model(units), images(1));
            let scaled = Rescaling::new(1.0 / 127.5, -1.0).apply_batch(images.clone());
            let activations = model.base_model().call(&scaled).unwrap();
            let (_, h, w, channels) = activations.dim();
            assert_eq!((h, w), (2, 2));
            let logit =
                |a: &Array4<f32>| sign * logits(&model, a)[if units == 1 { 0 } else { class as usize }];
            let mut sums = Array2::<f64>::zeros((h, w));
            for k in 0..channels {
                let mut alpha = 0.0;
                for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    // The logit is linear in the activations, so a large step is exact and drowns rounding.
                    let (mut up, mut down) = (activations.clone(), activations.clone());
                    up[(0, y, x, k)] += 64.0;
                    down[(0, y, x, k)] -= 64.0;
                    alpha += (logit(&up) - logit(&down)) / 128.0 / (h * w) as f64;
                }
                sums.scaled_add(alpha, &activations.slice(s![0, .., .., k]).mapv(f64::from));
            }
            let maps = model.grad_cams_of(&images, &[class]).unwrap();
            // The mean of the gradient over h'w' places of w_k/(h'w') each.
            let scale = sums.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            for ((y, x), &sum) in sums.indexed_iter() {
                let cell = f64::from(maps.cells[(0, y, x)]);
                assert!((cell - sum).abs() < 1e-4 * scale, "{units} units, class {class}: {cell} and {sum}");
            }
            let corner = maps.heat_maps[(0, 0, 0)];
            assert_eq!(corner, maps.cells[(0, 0, 0)].max(0.0), "the corner's pixel is the corner's cell");
        }
    }

    #[test]
    fn the_cells_and_the_bias_add_up_to_the_logit() {
        let (model, images) = (model(3), images(2));
        let logits = model.predict_on_batch(&images).unwrap().logits;
        let (_, bias) = model.net.head_values().unwrap();
        for class in 0..3 {
            let maps = model.grad_cams_of(&images, &[class; 2]).unwrap();
            for i in 0..2 {
                let sum = maps.cells.index_axis(Axis(0), i).sum() + bias[class as usize];
                let logit = logits[[i, class as usize]];
                assert!((sum - logit).abs() < 1e-4 * (1.0 + logit.abs()), "{sum} and {logit}");
            }
        }
    }

    #[test]
    fn cells_and_probabilities_are_of_the_photograph_as_it_is_where_predictions_average_its_mirror_image() {
        for units in [1, 3] {
            let (mut model, images) = (model(units), images(2));
            let plain = model.grad_cams(&images).unwrap();
            let expected = model.predict_on_batch(&images).unwrap().probabilities();
            let (_, bias) = model.net.head_values().unwrap();
            model.set_test_time_flip(true);
            let averaged = model.predict_on_batch(&images).unwrap().probabilities();
            assert_ne!(averaged, expected, "mirror images make no difference here, so nothing is tested");
            let maps = model.grad_cams(&images).unwrap();
            assert_eq!(maps, plain);
            for (i, &class) in maps.classes.iter().enumerate() {
                let (p, of_pass) = (maps.probabilities[i], expected[[i, class as usize]]);
                assert!((p - of_pass).abs() < 1e-5, "{p} instead of {of_pass}");
                // For one output the probability follows from the cells: of class 1 by the logit, of class 0 by its
                // negative.
                let sum = maps.cells.index_axis(Axis(0), i).sum();
                let logit = if class == 1 { sum + bias[0] } else { sum - bias[0] };
                let by_cells = 1.0 / (1.0 + (-logit).exp());
                assert!(units > 1 || (p - by_cells).abs() < 1e-5, "{p} instead of {by_cells}");
            }
        }
    }

    #[test]
    fn one_photograph_gets_a_map_of_its_size_for_the_predicted_class() {
        let (model, images) = (model(1), images(1));
        let map = model.grad_cam(&images.index_axis(Axis(0), 0).to_owned()).unwrap();
        assert_eq!(map.dim(), (SIZE, SIZE));
        let all = model.grad_cams(&images).unwrap();
        assert_eq!(map, all.heat_maps.index_axis(Axis(0), 0));
        assert_eq!(all.classes, model.predict_on_batch(&images).unwrap().labels());
        assert!(all.probabilities[0] >= 0.5 && map.iter().all(|&heat| heat >= 0.0));
        all.figure(&["a", "b"].map(String::from)).unwrap();
        assert!(all.figure(&[]).unwrap_err().to_string().contains("a name for class"));
        assert!(model.grad_cams_of(&images, &[2]).unwrap_err().to_string().contains("0 to 1. Received: 2"));
        assert!(model.grad_cams_of(&images, &[0, 1]).is_err());
        assert!(model.grad_cam(&Array3::zeros((SIZE, 32, 3))).is_err());
    }

    #[test]
    fn maps_are_enlarged_between_the_centres_of_cells() {
        let cells = ndarray::array![[[0.0f32, 4.0]]];
        let wide = enlarged(&cells, (1, 4));
        assert_eq!(wide.into_raw_vec_and_offset().0, [0.0, 1.0, 3.0, 4.0]);
    }
}

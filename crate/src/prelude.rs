//! Everything that a notebook needs: `use transfer::prelude::*;`.

pub use crate::assets::{
    cats_and_dogs, get_file, mobilenet_v2_weights, photographs_folder, sample_photographs, CatsAndDogs,
    SamplePhotographs,
};
pub use crate::augment::{
    MixUp, RandomBrightness, RandomContrast, RandomFlip, RandomResizedCrop, RandomRotation,
    RandomTranslation, RandomZoom, Sequential,
};
pub use crate::bases::Base;
pub use crate::check::{check_photographs, check_photographs_of_table, CheckOptions, CheckReport};
pub use crate::data::{
    image_dataset_from_directory, image_dataset_from_table, load_img, own_photographs,
    own_photographs_in_groups, photographs_from_table, BadImages, Batch, Dataset, Fit, Groups,
    ImageDatasetOptions, LabelTable, OnBadImage, OwnPhotographs,
};
pub use crate::explain::{
    classification_report, confusion_matrix, expected_calibration_error, reliability_diagram, roc_auc_score,
    roc_curve, ClassificationReport, ConfusionMatrix, GradCam, MultiLabelReport, Pca, PooledFeatures,
    ReliabilityDiagram, RocCurve, RocCurves, TopLosses,
};
pub use crate::loss::Loss;
pub use crate::model::{
    temperature_scaling, wilson_interval, Calibration, Classifier, CrossValidation, Dense, Dropout,
    GlobalAveragePooling2D, Interval, Model, Novelty, Unknown,
};
pub use crate::network::{Backbone, MobileNetV2, Summary};
pub use crate::optim::{Adam, CosineDecay, LayerRates, OneCycle, RmsProp, Schedule};
#[cfg(feature = "plot")]
pub use crate::plot::{
    augmentation_grid, image_grid, learning_curves, prediction_grid, Figure, LearningCurves,
};
pub use crate::preprocess::{mobilenet_v2, Rescaling};
pub use crate::train::{
    fold_assignment, out_of_fold, Checkpoints, ClassWeights, CrossValidateOptions, CsvLogger, EarlyStopping,
    Evaluation, FineTuneOptions, FitOptions, History, LrFind, LrFindOptions, ModelCheckpoint, OutOfFold,
    Prediction, Predictions, ReduceLrOnPlateau, SizeCurve, TensorBoard,
};
pub use crate::{seed, Device, Error, OutputFile, Precision, Result, SPLIT_SEED};
pub use ndarray::{Array2, Array3, Array4};

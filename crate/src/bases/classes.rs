//! The names of ImageNet's classes.

/// The names of ImageNet's 1,000 classes, in the order of the published networks' outputs.
pub fn imagenet_classes() -> Vec<&'static str> {
    include_str!("imagenet_classes.txt").lines().filter(|line| !line.starts_with('#')).collect()
}

//! In which precision the frozen part computes.

use transfer::model::MobileNetV2;

use crate::Arguments;

/// Whether the wanted precision is to be had; says why where it is not.
pub fn check(arguments: &Arguments) -> Result<(), String> {
    match arguments.text_or("precision", "f32") {
        "f32" => Ok(()),
        "bf16" => Err("this version of the crate computes in f32 only".into()),
        other => Err(format!("expected precision=f32 or precision=bf16. Received: {other}")),
    }
}

/// The base with the wanted precision, which [`check`] has let pass.
pub fn with(base: MobileNetV2, _: &Arguments) -> MobileNetV2 {
    base
}

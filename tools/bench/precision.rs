//! In which precision the frozen part computes.

use transfer::model::MobileNetV2;
use transfer::ops::Bf16Unit;
use transfer::Precision;

use crate::Arguments;

/// Whether the wanted precision is to be had; says why where it is not.
pub fn check(arguments: &Arguments) -> Result<(), String> {
    match arguments.text_or("precision", "f32") {
        "f32" => Ok(()),
        "bf16" => Bf16Unit::best().map(|_| ()).map_err(|e| e.to_string()),
        other => Err(format!("expected precision=f32 or precision=bf16. Received: {other}")),
    }
}

/// The base with the wanted precision, which [`check`] has let pass.
pub fn with(mut base: MobileNetV2, arguments: &Arguments) -> transfer::Result<MobileNetV2> {
    if arguments.text_or("precision", "f32") == "bf16" {
        base.set_precision(Precision::Bf16)?;
    }
    Ok(base)
}

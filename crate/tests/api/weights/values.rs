//! What the scripts beside this file wrote: numbers that follow from names.

use transfer::weights::Tensor;

/// zlib's CRC-32, which the scripts take their first number from.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// `value` of the scripts, in row-major order of the script's own axes.
pub fn values(name: &str, len: usize) -> Vec<f32> {
    let start = crc32(name.as_bytes()) as usize % 1000;
    (0..len).map(|i| ((i + start) % 199) as f32 / 64.0).collect()
}

/// PyTorch's `(out, in, h, w)` as Keras' `(h, w, in, out)`, written apart from the crate's: for each place of the result.
pub fn from_pytorch(theirs: &[f32], keras_shape: &[usize], depthwise: bool) -> Tensor {
    let data = match *keras_shape {
        [h, w, third, fourth] => {
            let mut data = Vec::new();
            for i in 0..h * w * third * fourth {
                let (b, a, x, y) =
                    (i % fourth, i / fourth % third, i / fourth / third % w, i / fourth / third / w);
                let (o, ins, i) = if depthwise { (a, fourth, b) } else { (b, third, a) };
                data.push(theirs[o * ins * h * w + i * h * w + y * w + x]);
            }
            data
        }
        [input, output] => (0..input * output).map(|i| theirs[(i % output) * input + i / output]).collect(),
        _ => theirs.to_vec(),
    };
    Tensor::new(keras_shape, data).unwrap()
}

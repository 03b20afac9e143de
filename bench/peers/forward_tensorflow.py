"""TensorFlow's forward pass: Keras' own MobileNetV2 in a tf.function."""

import tensorflow as tf

import keras_model
from serve import arguments, forward, load

given = arguments()
keras_model.set_threads(int(given["threads"]))
batch = int(given["batch"])
keras = keras_model.module("tf_keras")
base = keras_model.base_model(keras, load(given["folder"], "weights.safetensors"))
images = tf.constant(load(given["folder"], "images.safetensors")["images"][:batch])


@tf.function
def compute(x):
    return base(x, training=False)


def once():
    # A result that was not waited for would not be timed.
    return compute(images).numpy()


forward({"tensorflow": tf.__version__, "tf_keras": keras.__version__}, once, once)

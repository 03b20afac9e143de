"""The tutorial's model in tf_keras or Keras 3, with the exported weights and files."""

import numpy
import tensorflow as tf


def set_threads(n):
    tf.config.threading.set_intra_op_parallelism_threads(n)
    tf.config.threading.set_inter_op_parallelism_threads(n)


def module(name):
    """tf_keras or Keras 3, by name."""
    if name == "tf_keras":
        import tf_keras

        return tf_keras
    import keras

    return keras


def base_model(keras, weights):
    """MobileNetV2 without its top."""
    base = keras.applications.MobileNetV2(input_shape=(160, 160, 3), include_top=False, weights=None)
    for layer in base.layers:
        names = [w.name.split("/")[-1].split(":")[0] for w in layer.weights]
        if not names:
            continue
        values = []
        for name, variable in zip(names, layer.weights):
            # Keras 3 calls the kernel of a depthwise convolution just that.
            ours = next(n for n in (name, "depthwise_kernel") if f"{layer.name}/{n}" in weights)
            value = weights[f"{layer.name}/{ours}"]
            values.append(value.reshape(tuple(variable.shape)))
        layer.set_weights(values)
    return base


def model(keras, base, seed):
    """The tutorial's chain of layers with the base frozen."""
    keras.utils.set_random_seed(seed)
    base.trainable = False
    layers = keras.layers
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    inputs = keras.Input(shape=(160, 160, 3))
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    # The loss wants f32, also where layers compute in bf16.
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x))


def compile_phase(keras, whole, base, phase):
    """Compiles for the tutorial's phase 1 or 2."""
    if phase == 1:
        optimizer = keras.optimizers.Adam(learning_rate=1e-4)
    else:
        base.trainable = True
        for layer in base.layers[:100]:
            layer.trainable = False
        optimizer = keras.optimizers.RMSprop(learning_rate=1e-5)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    whole.compile(optimizer=optimizer, loss=loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])


def dataset(listed, shuffle_seed=None):
    """Batches of 32, decoded once and then kept in memory, in another order each time where a seed is
    given; what `image_dataset_from_directory` does, on a given list of files, with fixed numbers of threads and batches."""
    paths = [path for path, _ in listed]
    labels = numpy.array([[label] for _, label in listed], dtype="float32")

    def read(path, label):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        image = tf.image.resize(image, (160, 160))
        image.set_shape((160, 160, 3))
        return image, label

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    data = tf.data.Dataset.from_tensor_slices((paths, labels)).map(read, num_parallel_calls=threads).cache()
    if shuffle_seed is not None:
        data = data.shuffle(len(paths), seed=shuffle_seed, reshuffle_each_iteration=True)
    # With tf.data.AUTOTUNE the end of an epoch waits for a timer of the tuning, which rings after 10 ms and then after
    # twice as long each time: `fit` ends 10.23, 20.47 or 40.95 s after its start, if it is done some seconds before.
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.batch(32).prefetch(2).with_options(options)


def errors(whole, data):
    """How many images are on the wrong side of 0, and how many there are."""
    wrong = images = 0
    for x, y in data:
        logits = whole.predict_on_batch(x)
        wrong += int(numpy.sum((logits > 0) != (y.numpy() > 0.5)))
        images += len(y)
    return wrong, images

"""Writes the .npz and .npy files under test/fixtures/arrays with NumPy itself; run it in that folder (python3 with numpy).

Image n of a part is filled with n at [channel 0], 100 + n at [channel 1] and so on, but its first pixel (0, 0) is 7 in every channel.
"""
import numpy as np


def images(count, channels, height, width, start=0):
    planes = np.zeros((count, channels, height, width), np.uint8)
    for n in range(count):
        for channel in range(channels):
            planes[n, channel] = start + n + 100 * channel
    planes[:, :, 0, 0] = 7
    return planes


train, test = images(6, 2, 5, 6), images(3, 2, 5, 6, 50)
labels = np.array([0, 1, 2, 0, 1, 2])
# Keras: channels last, stored without compression, labels [N, 1].
np.savez("keras.npz", x_train=train.transpose(0, 2, 3, 1).copy(), y_train=labels.astype(np.uint8)[:, None],
         x_test=test.transpose(0, 2, 3, 1).copy(), y_test=np.array([[2], [1], [0]], np.uint8),
         class_names=np.array(["ant", "bee", "käfer"]))
# MedMNIST: grey, compressed, big-endian labels as int64 on one part.
np.savez_compressed("medmnist.npz", train_images=train[:, 0], train_labels=labels[:, None],
                    val_images=test[:, 0], val_labels=np.array([0, 1, 2], ">i8"),
                    test_images=test[:, 0], test_labels=np.array([0, 1, 2], np.int16))
np.save("float64BigEndian.npy", (train / 255).astype(">f8"))
np.save("fortran.npy", np.asfortranarray(train))
np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
with open("version3.npy", "wb") as file:
    np.lib.format.write_array(file, labels, version=(3, 0))

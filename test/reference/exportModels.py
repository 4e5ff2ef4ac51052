"""Writes the small ONNX files in test/fixtures/import/, which src/import/foreign.test.ts reads.

Needs torch and onnx (Debian: python3-torch, python3-onnx; the files at hand were made with 1.13.0 and 1.12.0).
Usage: python3 exportModels.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

folder = Path(sys.argv[1])
torch.manual_seed(0)
rng = np.random.default_rng(0)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual blocks, a max pool whose windows reach over the end, flattening by view(size(0), -1)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.layer1 = Block(8, 8, 1)
        self.layer2 = Block(8, 16, 2)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.pool(self.stem(x))))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(x.view(x.size(0), -1))


class MobileNet(nn.Module):
    """Inverted residuals with depthwise convolutions; the image is normalized inside."""

    def __init__(self, activation):
        super().__init__()
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([63.0, 62.1, 66.7]).view(1, 3, 1, 1))
        layers = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), activation()]
        self.features = nn.Sequential(*layers)
        self.expand = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), activation())
        self.depthwise = nn.Sequential(nn.Conv2d(24, 24, 3, 1, 1, groups=24, bias=False), nn.BatchNorm2d(24), activation())
        self.project = nn.Sequential(nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.grouped = nn.Conv2d(8, 16, 3, 2, 1, dilation=2, groups=4)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x):
        x = self.features((x - self.mean) / self.std)
        x = x + self.project(self.depthwise(self.expand(x)))
        x = F.leaky_relu(self.grouped(x), 0.2)
        return torch.softmax(self.classifier(x.mean([2, 3])), 1)


class Inception(nn.Module):
    """Branches joined by channels, uneven padding, average pools, several linear layers."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 6, 1)
        self.b = nn.Conv2d(3, 6, 5, padding=2)
        self.c = nn.Conv2d(6, 8, 4, stride=2)
        self.fc1 = nn.Linear((18 + 8) * 4, 16)
        self.fc2 = nn.Linear(16, 4, bias=False)

    def forward(self, x):
        a, b = self.a(x), torch.sigmoid(self.b(x))
        c = self.c(F.pad(a, (1, 2, 1, 2)))
        d = F.avg_pool2d(torch.cat([a, b, a], 1), 3, 2, 1, count_include_pad=False)
        x = torch.cat([c, d], 1)
        x = F.max_pool2d(x, 4)
        x = torch.flatten(x, 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), 1)


def trained(model):
    """As after training: no weight or statistic at its start value."""
    for name, value in list(model.named_parameters()) + list(model.named_buffers()):
        if value.dtype == torch.float32 and name not in ("mean", "std"):
            value.data += 0.1 * torch.rand_like(value)
    return model.eval()


def export(name, model, opset, side=16, open_axes=None, **more):
    axes = {"input": open_axes} if open_axes else None
    torch.onnx.export(
        trained(model), torch.randn(1, 3, side, side), str(folder / f"{name}.onnx"), opset_version=opset,
        input_names=["input"], output_names=["output"], dynamic_axes=axes, **more,
    )


batch = {0: "batch"}
keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
export("resnet-opset11", ResNet(), 11, open_axes=batch)
export("resnet-opset17", ResNet(), 17, open_axes={0: "batch", 2: "height", 3: "width"})
export("resnet-opset9-unfolded", ResNet(), 9, open_axes=batch, **keep)
export("mobilenet-relu6-opset13", MobileNet(nn.ReLU6), 13, open_axes=batch)
export("mobilenet-relu6-opset9", MobileNet(nn.ReLU6), 9)
export("mobilenet-hardswish-opset11", MobileNet(nn.Hardswish), 11, open_axes=batch)
export("mobilenet-hardswish-opset17", MobileNet(nn.Hardswish), 17, open_axes=batch)
export("inception-opset13", Inception(), 13, open_axes=batch)
export("inception-opset10", Inception(), 10)


def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def weight(name, *shape):
    return numpy_helper.from_array((rng.standard_normal(shape) * 0.3).astype(np.float32), name)


def positive(name, *shape):
    return numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalars(name, *values):
    return numpy_helper.from_array(np.array(values, np.float32).reshape(() if len(values) == 1 else (-1,)), name)


def save(name, opset, nodes, inputs, outputs, initializers):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="onnx.helper")
    model.ir_version = 4 if opset < 12 else 7
    if opset <= onnx.defs.onnx_opset_version():
        onnx.checker.check_model(model)
    onnx.save(model, str(folder / f"{name}.onnx"))


node = helper.make_node

# As tools of the time of operator set 7 wrote: attributes instead of inputs, SAME padding, a Scale layer, unnamed nodes.
save(
    "old-opset7", 7,
    [
        node("Div", ["data", "255"], ["scaled"]),
        node("Sub", ["scaled", "mean"], ["normalized"]),
        node("Conv", ["normalized", "w1"], ["c1"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        node("Add", ["c1", "b1"], ["biased"]),
        node("BatchNormalization", ["biased", "g", "be", "m", "v"], ["n1"], epsilon=1e-3, momentum=0.99),
        node("Mul", ["n1", "scale"], ["scaled1"]),
        node("Add", ["scaled1", "shift"], ["s1"]),
        node("Clip", ["s1"], ["r1"], min=0.0, max=6.0),
        node("Conv", ["r1", "w2", "b2"], ["c2"], auto_pad="SAME_LOWER", kernel_shape=[2, 2], group=2),
        node("Sum", ["c2", "r1", "r1"], ["sum"]),
        node("Pad", ["sum"], ["padded"], mode="constant", pads=[0, 0, 1, 0, 0, 0, 1, 1], value=0.0),
        node("AveragePool", ["padded"], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 0], count_include_pad=1),
        node("Dropout", ["pooled"], ["kept"], ratio=0.3),
        node("Reshape", ["kept", "to"], ["flat"]),
        node("Gemm", ["flat", "w3", "b3"], ["logits"], alpha=0.5, beta=2.0),
        node("Softmax", ["logits"], ["prob"]),
    ],
    [value("data", [2, 3, 8, 8])], [value("prob", [2, 5])],
    [
        scalars("255", 255.0), weight("mean", 3, 1, 1), weight("w1", 4, 3, 3, 3), weight("b1", 4, 1, 1), positive("g", 4), weight("be", 4), weight("m", 4),
        positive("v", 4), weight("scale", 4, 1, 1), weight("shift", 1, 4, 1, 1), weight("w2", 4, 2, 2, 2), weight("b2", 4), ints("to", 0, -1),
        weight("w3", 24, 5), weight("b3", 1, 5),
    ],
)

# As converters from TensorFlow write: images come with channels last, and are flattened with channels last.
save(
    "channels-last-opset13", 13,
    [
        node("Sub", ["x", "mean"], ["centred"], name="model/normalization/sub"),
        node("Mul", ["centred", "scale"], ["normal"], name="model/normalization/mul"),
        node("Transpose", ["normal"], ["nchw"], name="model/conv2d/Conv2D__6", perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "kernel"], ["c"], name="model/conv2d/Conv2D", pads=[0, 0, 1, 1], strides=[2, 2]),
        node("Transpose", ["c"], ["nhwc"], name="back", perm=[0, 2, 3, 1]),
        node("Add", ["nhwc", "bias"], ["biased"], name="model/conv2d/BiasAdd"),
        node("Relu", ["biased"], ["r"], name="model/re_lu/Relu"),
        node("Shape", ["r"], ["s"], name="shape"),
        node("Slice", ["s", "zero", "one"], ["n"], name="slice"),
        node("Concat", ["n", "rest"], ["to"], name="concat", axis=0),
        node("Reshape", ["r", "to"], ["flat"], name="model/flatten/Reshape"),
        node("Clip", ["flat", "", "three"], ["clipped"], name="model/clip"),
        node("MatMul", ["clipped", "dense"], ["d"], name="model/dense/MatMul"),
        node("Add", ["d", "dense_bias"], ["logits"], name="model/dense/BiasAdd"),
        node("Softmax", ["logits"], ["y"], name="model/dense/Softmax"),
        node("Identity", ["y"], ["out"], name="out"),
    ],
    [value("x", ["N", 8, 6, 3])], [value("out", ["N", 4])],
    [
        weight("mean", 3), positive("scale", 1, 1, 1, 3), weight("kernel", 5, 3, 3, 3), weight("bias", 5), ints("zero", 0), ints("one", 1), ints("rest", 60),
        scalars("three", 3.0), weight("dense", 60, 4), weight("dense_bias", 4),
    ],
)

# HardSwish in its three spellings, a mean over pixels by ReduceMean with its axes as an input, a second output that is the softmax.
save(
    "hardswish-opset18", 18,
    [
        node("Conv", ["x", "w"], ["a"], name="conv"),
        node("HardSigmoid", ["a"], ["h"], name="gate", alpha=1 / 6, beta=0.5),
        node("Mul", ["a", "h"], ["b"], name="first"),
        node("Add", ["three", "b"], ["b3"], name="plus"),
        node("Clip", ["b3", "zero", "six"], ["bc"], name="clip"),
        node("Mul", ["bc", "sixth"], ["bg"], name="scaled"),
        node("Mul", ["bg", "b"], ["c"], name="second"),
        node("Add", ["c", "three"], ["c3"], name="plus2"),
        node("Clip", ["c3", "zero", "six"], ["cc"], name="clip2"),
        node("Mul", ["c", "cc"], ["cm"], name="product"),
        node("Div", ["cm", "six"], ["d"], name="third"),
        node("ReduceMean", ["d", "axes"], ["mean"], name="mean"),
        node("Squeeze", ["mean", "axes"], ["v"], name="squeeze"),
        node("Gemm", ["v", "fc"], ["logits"], name="fc", transB=1),
        node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1),
    ],
    [value("x", ["N", 2, 5, 5])], [value("logits", ["N", 3]), value("probabilities", ["N", 3])],
    [weight("w", 6, 2, 2, 2), scalars("three", 3.0), scalars("zero", 0.0), scalars("six", 6.0), scalars("sixth", 1 / 6), ints("axes", -2, -1), weight("fc", 3, 6)],
)

# What cannot be read, for the error.
save(
    "refused-opset12", 12,
    [
        node("Conv", ["x", "w"], ["c"], name="conv"),
        node("LRN", ["c"], ["l"], name="lrn", size=3),
        node("Relu", ["l"], ["r"], name="relu"),
        node("GlobalAveragePool", ["r"], ["g"], name="squeeze"),
        node("Sigmoid", ["g"], ["s"], name="gate"),
        node("Mul", ["r", "s"], ["m"], name="excite"),
        node("Tanh", ["m"], ["t"], name="tanh"),
        node("Flatten", ["t"], ["f"], name="flatten"),
    ],
    [value("x", ["N", 2, 5, 5])], [value("f", ["N", None])],
    [weight("w", 3, 2, 3, 3)],
)

# Weights in another file (which is not kept: the model is refused before it is looked for).
outside = helper.make_model(
    helper.make_graph([node("Conv", ["x", "w"], ["y"])], "external", [value("x", ["N", 2, 5, 5])], [value("y", None)], [weight("w", 3, 2, 3, 3)]),
    opset_imports=[helper.make_opsetid("", 13)],
)
onnx.save_model(outside, str(folder / "external-opset13.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
(folder / "weights.bin").unlink()

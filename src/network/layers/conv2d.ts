/** Two-dimensional convolution: see `convolve.ts` for its training form; `Conv` when deployed. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import { convolve, isPointwise, places } from "../convolve.ts";
import { paysBanded } from "../depthwise.ts";
import type { FeatureShape, Layer } from "../network.ts";
import type { Activation, LayerRules } from "../rules.ts";
import { checkGroups, windowOutput } from "../windows.ts";

type Conv = Layer<"conv2d">;

const only = (inputs: readonly FeatureShape[]): FeatureShape => inputs[0] as FeatureShape;
const inPerGroup = (layer: Conv, inputs: readonly FeatureShape[]): number => only(inputs).channels / layer.groups;

export const conv2d: LayerRules<"conv2d"> = {
  arity: [1, 1],
  outputShape(layer, inputs) {
    const { channels } = only(inputs);
    if (!Number.isInteger(layer.outChannels) || layer.outChannels < 1) {
      throw new SheafError("network", `Layer "${layer.name}": outChannels must be a whole number of at least 1, got ${layer.outChannels}.`);
    }
    checkGroups(layer);
    if (channels % layer.groups !== 0 || layer.outChannels % layer.groups !== 0) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": ${layer.groups} groups must divide both its ${channels} input channels and its ${layer.outChannels} output channels.`,
      );
    }
    const [height, width] = windowOutput(layer, layer, only(inputs));
    return { channels: layer.outChannels, height, width };
  },
  parameters(layer, inputs) {
    const inner = inPerGroup(layer, inputs);
    const fanIn = inner * places(layer);
    const fanOut = (layer.outChannels / layer.groups) * places(layer);
    const weight = {
      name: "weight",
      shape: [layer.outChannels, inner, ...layer.kernel],
      role: "parameter",
      initializer: { type: "kaimingNormal", fan: fanOut },
      decay: true,
    } as const;
    const bias = {
      name: "bias",
      shape: [layer.outChannels],
      role: "parameter",
      initializer: { type: "uniform", bound: 1 / Math.sqrt(fanIn) },
      decay: false,
    } as const;
    return layer.bias ? [weight, bias] : [weight];
  },
  macs: (layer, inputs, output) => output.channels * output.height * output.width * inPerGroup(layer, inputs) * places(layer),
  workspaceElements(layer, inputs, output) {
    if (isPointwise(layer)) return 0;
    const input = only(inputs);
    const gathered = paysBanded(layer, input) ? layer.kernel[1] * input.height : places(layer) * output.height;
    return input.channels * gathered * output.width;
  },
  width: () => "own",
  train(context, layer, [x], output) {
    const b = context.builder;
    const weights = context.parameter("weight");
    const convolution = convolve(context, layer, { forward: weights, backward: weights }, x as Activation, output);
    const { value } = convolution;
    const [, outPixels = 0, batch = 0] = value.shape;
    return {
      output: {
        value: layer.bias ? b.add(value, b.reshape(context.parameter("bias"), [layer.outChannels, 1, 1])) : value,
        shape: output,
      },
      backward(gradient, [wanted]) {
        const weight = convolution.weightGradient(gradient);
        const bias = layer.bias ? b.reduceSum(b.reshape(gradient, [layer.outChannels, outPixels * batch]), [1], false) : undefined;
        return {
          inputs: [wanted ? convolution.inputGradient(gradient) : undefined],
          parameters: bias ? { weight, bias } : { weight },
        };
      },
    };
  },
  deploy(context, layer, [x]) {
    const [padY, padX] = layer.padding;
    const inputs = [x as Value, context.parameter("weight")];
    if (layer.bias) inputs.push(context.parameter("bias"));
    return context.builder.op(
      "Conv",
      inputs,
      { kernel_shape: layer.kernel, strides: layer.stride, pads: [padY, padX, padY, padX], dilations: layer.dilation, group: layer.groups },
      layer.name,
    );
  },
};

/** One small network and its training by SGD with Nesterov momentum, in plain loops. */
import {
  type Batch,
  batchNormalization,
  batchOf,
  convolution,
  crossEntropy,
  fullyConnected,
  maxPooling,
  rectifier,
  type Step,
} from "./layers.ts";

/** Parameters and running statistics by the names that Sheaf uses; changed in place. */
export type Parameters = Map<string, Float64Array>;

export interface ReferenceSettings {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
}

/** conv1 (3x3, no bias), bn1, relu, 2x2 max pool, conv2 (3x3, stride 2, 2 groups, bias), relu, linear. */
export class ReferenceTrainer {
  readonly #parameters: Parameters;
  readonly #settings: ReferenceSettings;
  readonly #velocities = new Map<string, Float64Array>();

  constructor(parameters: Parameters, settings: ReferenceSettings) {
    this.#parameters = parameters;
    this.#settings = settings;
  }

  #get(name: string): Float64Array {
    const value = this.#parameters.get(name);
    if (!value) throw new Error(`No parameter ${name}.`);
    return value;
  }

  /** One step on raw images; returns the loss before it. */
  step(images: Batch, labels: readonly number[]): number {
    const { mean, std } = this.#settings;
    const gradients = new Map<string, Float64Array>();
    const steps: Step[] = [];
    const then = (step: Step): Batch => {
      steps.push(step);
      return step.output;
    };
    let x = batchOf(images.n, images.c, images.h, images.w);
    images.data.forEach((v, i) => {
      const c = Math.floor(i / (images.h * images.w)) % images.c;
      x.data[i] = (v - mean[c]!) / std[c]!;
    });
    const first = this.#get("bn1.bias").length;
    const second = this.#get("conv2.bias").length;
    x = then(
      convolution(
        x,
        this.#get("conv1.weight"),
        undefined,
        { outChannels: first, kernel: 3, stride: 1, padding: 1, groups: 1 },
        gradients,
        "conv1",
      ),
    );
    const statistics = {
      runningMean: this.#get("bn1.running_mean"),
      runningVariance: this.#get("bn1.running_var"),
      epsilon: 1e-5,
      momentum: 0.1,
    };
    x = then(batchNormalization(x, { weight: this.#get("bn1.weight"), bias: this.#get("bn1.bias"), ...statistics }, gradients, "bn1"));
    x = then(rectifier(x));
    x = then(maxPooling(x, 2));
    const shape = { outChannels: second, kernel: 3, stride: 2, padding: 1, groups: 2 };
    x = then(convolution(x, this.#get("conv2.weight"), this.#get("conv2.bias"), shape, gradients, "conv2"));
    x = then(rectifier(x));
    x = then(fullyConnected(x, this.#get("classifier.weight"), this.#get("classifier.bias"), gradients, "classifier"));
    const { loss, gradient } = crossEntropy(x, labels);
    let flowing = gradient;
    for (const step of steps.reverse()) flowing = step.backward(flowing);
    for (const [name, value] of gradients) this.#update(name, value);
    return loss;
  }

  /** v = momentum * v + g; w = w - rate * (g + momentum * v). Weight decay on the weights of convolutions and linear layers. */
  #update(name: string, gradient: Float64Array): void {
    const { learningRate, momentum, weightDecay } = this.#settings;
    const value = this.#get(name);
    const velocity = this.#velocities.get(name) ?? new Float64Array(value.length);
    this.#velocities.set(name, velocity);
    const decays = name.endsWith(".weight") && !name.startsWith("bn");
    for (let i = 0; i < value.length; i++) {
      const g = gradient[i]! + (decays ? weightDecay * value[i]! : 0);
      velocity[i] = momentum * velocity[i]! + g;
      value[i]! -= learningRate * (g + momentum * velocity[i]!);
    }
  }
}

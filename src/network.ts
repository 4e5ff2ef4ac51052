/** The door `sheaf/network`: networks as plain data, their shapes, costs and widths. */
export { narrow, scaledWidth, type WidthFactors, widthGroups } from "./network/narrow.ts";
export {
  type FeatureShape,
  inputName,
  type Layer,
  type LayerAttributes,
  type LayerType,
  type Network,
  type NetworkInput,
  type Pair,
} from "./network/network.ts";
export { type Cost, layerCost, networkCost, outputShape, type PlacedLayer, placeLayers } from "./network/shapes.ts";

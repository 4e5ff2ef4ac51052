/** Public door of `report/`: the page of a run, its charts, and the model card, all pure functions of {@link ReportData}. */
export { accuracyChart } from "./report/charts/accuracyChart.ts";
export { bytesChart } from "./report/charts/bytesChart.ts";
export { chartFile } from "./report/charts/chartFile.ts";
export { computeChart, promisedRatio } from "./report/charts/computeChart.ts";
export { confusionChart } from "./report/charts/confusionChart.ts";
export { countsChart } from "./report/charts/countsChart.ts";
export { curvesChart } from "./report/charts/curvesChart.ts";
export { type ChartOptions, narrowWidth, wideWidth } from "./report/charts/frame.ts";
export { type Holder, holdingsChart } from "./report/charts/holdingsChart.ts";
export { perClassChart } from "./report/charts/perClassChart.ts";
export { planChart } from "./report/charts/planChart.ts";
export { samplesChart } from "./report/charts/samplesChart.ts";
export { settleChart } from "./report/charts/settleChart.ts";
export { timelineChart } from "./report/charts/timelineChart.ts";
export { headline } from "./report/headline.ts";
export { type InspectData, renderInspection, type SkippedFiles } from "./report/inspectPage.ts";
export { modelCard } from "./report/modelCard.ts";
export { renderReport } from "./report/page.ts";
export {
  type CurvePoint,
  type CurveSeries,
  type DataSetReport,
  type DeviceCompute,
  type DeviceReport,
  type DeviceStatus,
  type HeadId,
  type HeadReport,
  type HoldingsReport,
  type ModelFileReport,
  type ModelTensor,
  parseReportData,
  type ReportData,
  reportDataSchema,
  reportFormat,
  type SampleStrip,
  type SamplesReport,
  type TimelineKind,
  type TimelineSegment,
  totalMacs,
} from "./report/reportData.ts";
export { chartStyle } from "./report/style.ts";

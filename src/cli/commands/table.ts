/** All commands, in the order of the help. */
import type { CommandSpec } from "../command.ts";
import { auditVerify } from "./audit.ts";
import { backup, restore } from "./backup.ts";
import { baseline } from "./baseline.ts";
import { benchStepCommand } from "./benchStep.ts";
import { certDevice, certRevoke, certServer } from "./cert.ts";
import { compile } from "./compile.ts";
import { cost } from "./cost.ts";
import { dataList } from "./data.ts";
import { dataAdd, dataRemove } from "./dataAdd.ts";
import { dataInspect } from "./dataInspect.ts";
import { doctor } from "./doctor.ts";
import { evaluate } from "./eval.ts";
import { exportModel } from "./export.ts";
import { harvest } from "./harvest.ts";
import { importModel } from "./import.ts";
import { join } from "./join.ts";
import { paper } from "./paper.ts";
import { plan } from "./plan.ts";
import { predict } from "./predict.ts";
import { report } from "./report.ts";
import { quickstart, run } from "./run.ts";
import { administration } from "./runs.ts";
import { serve } from "./serve.ts";
import { shape } from "./shape.ts";
import { simulate } from "./simulate.ts";
import { status } from "./status.ts";
import { train } from "./train.ts";

export const commands: readonly CommandSpec[] = [
  quickstart,
  run,
  plan,
  train,
  baseline,
  shape,
  evaluate,
  predict,
  exportModel,
  importModel,
  report,
  paper,
  cost,
  compile,
  benchStepCommand,
  dataList,
  dataInspect,
  dataAdd,
  dataRemove,
  simulate,
  serve,
  join,
  status,
  harvest,
  ...administration,
  certServer,
  certDevice,
  certRevoke,
  auditVerify,
  backup,
  restore,
  doctor,
];

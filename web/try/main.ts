/** The page to try a model on. */
import "../shared/base.css";
import "../dashboard/dashboard.css";
import "./try.css";
import { mount } from "svelte";
import { useRuntimeFiles } from "../../src/runtime/session.web.ts";
import { applyStoredTheme } from "../charts/theme.ts";
import { runtimePath } from "../device/engine.ts";
import Try from "./Try.svelte";

applyStoredTheme();
useRuntimeFiles(runtimePath);
const target = document.getElementById("page");
if (target) mount(Try, { target });

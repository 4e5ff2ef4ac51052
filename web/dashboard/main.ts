/** The dashboard: signs in with what the address carries, then shows itself. */
import "../shared/base.css";
import "./dashboard.css";
import { mount } from "svelte";
import { adoptChartStyle } from "../charts/chartStyle.ts";
import { applyStoredTheme } from "../charts/theme.ts";
import App from "./App.svelte";
import { signInFromAddress } from "./session.svelte.ts";

applyStoredTheme();
adoptChartStyle();
// Before anything else is shown or loaded: the token must not stay in the address.
void signInFromAddress();
const target = document.getElementById("page");
if (target) mount(App, { target });

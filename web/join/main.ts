/** The join page: mounts it. */
import "../shared/base.css";
import "./join.css";
import { mount } from "svelte";
import Join from "./Join.svelte";

const target = document.getElementById("page");
if (target) mount(Join, { target });

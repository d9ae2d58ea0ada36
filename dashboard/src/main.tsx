import { render } from "preact";
import { Page } from "./page.js";
import "./style/colours.css";
import "./style/page.css";
import "./style/charts.css";
import "./style/tables.css";
import "./style/dialog.css";
import "./style/phone.css";

render(<Page />, document.getElementById("page")!);

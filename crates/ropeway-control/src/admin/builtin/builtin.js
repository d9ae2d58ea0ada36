"use strict";

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
const ms = (value) => (value == null ? "" : value.toFixed(1));

// Cells are set as text, never as markup: names come from the configuration.
function fill(id, heading, rows) {
  const table = document.getElementById(id);
  const line = (cells, tag) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const { text, kind } = typeof cell === "object" ? cell : { text: cell, kind: "" };
      const element = document.createElement(tag);
      element.textContent = text;
      element.className = kind || (typeof text === "number" ? "number" : "");
      row.append(element);
    }
    return row;
  };
  table.replaceChildren(line(heading, "th"), ...rows.map((cells) => line(cells, "td")));
}

function show(status) {
  const { connections, requests } = status;
  document.getElementById("summary").textContent =
    `version ${status.version}, up ${Math.round(status.uptime_seconds)} s, configuration ${status.generation}` +
    `${status.draining ? ", draining" : ""}: ${connections.open} connections, ${requests.active} requests active, ` +
    `${requests.total} in all`;
  fill("servers", ["Upstream", "Server", "State", "Weight", "In flight", "Attempts", "p99 ms"],
    status.upstreams.flatMap((upstream) => upstream.servers.map((server) => [
      upstream.name, server.name, { text: server.state, kind: `state-${server.state}` }, server.weight,
      server.in_flight, sum(server.requests), ms(server.latency_ms.p99)])));
  fill("routes", ["Route", "Host", "Path", "Upstream", "Requests", "p99 ms"],
    status.routes.map((route) => [route.name, route.host, route.path, route.upstream, sum(route.requests),
      ms(route.latency_ms.p99)]));
  fill("events", ["When", "What", ""], status.events.toReversed().map((event) => [event.at, event.kind, event.message]));
}

async function refresh() {
  const trouble = document.getElementById("trouble");
  try {
    const answer = await fetch("status");
    show(await answer.json());
    trouble.textContent = "";
  } catch (error) {
    trouble.textContent = `The admin listener does not answer: ${error.message}`;
  }
  setTimeout(refresh, 1000);
}

refresh();

// Sorts, filters and copies tables. The page is complete without this script, which needs no network.
(() => {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const textOf = (cell) => (cell.querySelector("summary, button") ?? cell).innerText.replace(/\s*\n\s*/g, "; ").trim();
  const numberOf = (text) => {
    const match = text.replace("−", "-").replace(/,(?=\d{3})/g, "").match(/^[^\w-]*(-?\d+(\.\d+)?)( min$| h$)?/);
    return match ? Number(match[1]) * ({ " min": 60, " h": 3600 }[match[3]] ?? 1) : NaN;
  };

  // Rows are sorted below the heading of their group; rows without a number come last.
  function sort(table, column, descending) {
    const compare = (one, other) => {
      const [a, b] = [one, other].map((row) => textOf(row.cells[column]));
      const [x, y] = [numberOf(a), numberOf(b)];
      if (Number.isNaN(x) && Number.isNaN(y)) return (descending ? -1 : 1) * a.localeCompare(b);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return descending ? y - x : x - y;
    };
    const groups = [[]];
    for (const row of table.tBodies[0].rows) row.className === "group" ? groups.push([row]) : groups.at(-1).push(row);
    for (const group of groups) {
      const heading = group[0]?.className === "group" ? [group.shift()] : [];
      table.tBodies[0].append(...heading, ...group.sort(compare));
    }
  }

  function addSorting(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort", textContent: head.firstChild.textContent });
      button.onclick = () => {
        const descending = head.getAttribute("aria-sort") !== "descending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      };
      head.firstChild.replaceWith(button);
    });
  }

  // Visible rows as text; the heading of a group is the first value of each of its rows.
  function valuesOf(table) {
    const grouped = table.querySelector("tr.group") !== null, rows = [];
    let heading = "";
    for (const row of table.rows) {
      if (row.className === "group") heading = textOf(row.cells[0]);
      else if (!row.hidden) rows.push([...(grouped ? [heading] : []), ...[...row.cells].map(textOf)]);
    }
    return rows;
  }

  const latex = (text) => text.replace(/[&%$#_]/g, "\\$&").replaceAll("±", "$\\pm$").replaceAll("−", "$-$");
  const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const piped = (row) => `| ${row.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  const formats = {
    CSV: (rows) => rows.map((row) => row.map(quoted).join(",")),
    Markdown: ([head, ...rows]) => [head, head.map(() => "---"), ...rows].map(piped),
    LaTeX: (rows) => {
      const [head, ...lines] = rows.map((row) => `${row.map(latex).join(" & ")} \\\\`);
      const begin = `\\begin{tabular}{${"l".repeat(rows[0].length)}}`;
      return [begin, "\\toprule", head, "\\midrule", ...lines, "\\bottomrule", "\\end{tabular}"];
    },
  };

  function addTools(table, tools) {
    for (const [name, format] of navigator.clipboard ? Object.entries(formats) : []) {
      const button = make("button", { type: "button", textContent: `Copy as ${name}` });
      button.onclick = async () => {
        await navigator.clipboard.writeText(format(valuesOf(table)).join("\n"));
        button.textContent = `Copied as ${name}`;
      };
      tools.append(button);
    }
    const words = make("input", { type: "search", placeholder: "filter rows", ariaLabel: "Filter rows by text" });
    const kind = make("select", { ariaLabel: "Filter rows by verdict" });
    const kinds = { "all cells": "", "only outside": ".above, .below", "only missing": ".absent" };
    kind.append(...Object.entries(kinds).map(([title, selector]) => new Option(title, selector)));
    const filter = () => {
      for (const row of table.querySelectorAll("tbody tr:not(.group)")) {
        const shown = [...row.cells].filter((cell) => !kind.value || cell.querySelector(kind.value));
        for (const cell of row.querySelectorAll("td")) cell.classList.toggle("dim", !shown.includes(cell));
        const text = [...row.cells].map(textOf).join(" ").toLowerCase();
        row.hidden = !shown.length || !text.includes(words.value.toLowerCase());
      }
    };
    words.oninput = kind.onchange = filter;
    tools.append(words);
    if (!table.classList.contains("accuracy")) return;
    const hide = make("input", { type: "checkbox", onchange: () => table.classList.toggle("ours-only", hide.checked) });
    const label = make("label", { textContent: " hide published" });
    label.prepend(hide);
    tools.append(kind, label);
  }

  for (const tools of document.querySelectorAll(".scroll + .files")) {
    const table = tools.previousElementSibling.querySelector("table");
    addSorting(table);
    addTools(table, tools);
  }
})();

"""Opens reports in a headless browser, at the width of a phone and of a desk, light and dark, and looks for what a reader would
stumble over: errors on the console, requests to anywhere, scripts, pages wider than the screen, charts that are not there,
text that cannot be told from what is behind it, texts of a chart that lie on each other or leave it, names of runs that became
markup.

    look.py --runlake BINARY --browser /usr/bin/chromium [--pictures FOLDER]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["leaderboard", "features", "candidate"]
HOSTILE = [
    "<script>document.title = 'broken'</script>",
    "<img src=x onerror=\"document.title = 'broken'\">",
    "a | b",
    "two\nlines",
    "\u202egnirts",
    "שלום עולם",
    "\" onload=\"document.title = 'broken'",
    "x" * 300,
]
HOSTILE_PAGE = """# Names

{% for run in rows("SELECT name FROM runs ORDER BY start_time, run_id") %}
- {{ run.name }} and `{{ run.name }}` <span title="{{ run.name }}">here</span>
{% endfor %}

```sql
SELECT name, metrics.auc FROM runs ORDER BY start_time, run_id
```

```sql chart=bar
SELECT name, metrics.auc FROM runs ORDER BY start_time, run_id
```

```sql chart=line title="{{ rows("SELECT name FROM runs ORDER BY start_time, run_id")[0].name }}" smooth=0.5
SELECT name, step, value FROM metrics JOIN runs USING (run_id) ORDER BY name, step
```
"""
CHARTS_PAGE = """# Charts

```sql chart=line title="Runs per day"
SELECT date_trunc('day', start_time) AS day, count(*) AS runs FROM runs GROUP BY 1 ORDER BY 1
```

{% for seconds in [0.01, 60, 3600, 172800, 5184000, 34560000, 315360000] %}
```sql chart=line title="{{ seconds }} seconds"
SELECT to_timestamp(1790000000 + i * {{ seconds }} / 50) AS time, 1234567 + i AS value FROM (SELECT unnest(generate_series(0, 50)) AS i)
```
{% endfor %}

```sql chart=scatter y=end_time x=n title="Times from bottom to top"
SELECT row_number() OVER (ORDER BY run_id) AS n, end_time FROM runs WHERE experiment = 'wine'
```

```sql chart=heat x=model y=experiment title="Real names"
SELECT experiment, params.model AS model, avg(metrics.cv_auc) AS auc FROM runs WHERE metrics.cv_auc IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
```

```sql chart=heat x=sweep y=model title="Large numbers"
SELECT tags.sweep AS sweep, params.model AS model, 869000 * avg(metrics.cv_auc) AS score FROM runs GROUP BY 1, 2 ORDER BY 1, 2
```

```sql chart=heat title="Sixty columns"
SELECT a, b, 0.5 AS v FROM (SELECT unnest(generate_series(1, 60)) AS a), (SELECT unnest(generate_series(1, 3)) AS b)
```

```sql chart=box log=y title="Boxes on a logarithmic axis"
SELECT params.model AS model, metrics.fit_time_s FROM runs WHERE metrics.fit_time_s > 0 ORDER BY model
```

```sql chart=line log=y title="A short logarithmic axis"
SELECT i AS step, 0.981 + i * 0.0001 AS value FROM (SELECT unnest(generate_series(0, 40)) AS i)
```

```sql chart=line series=s x_label="a name of an axis that says at length what it shows, in furlongs per fortnight and then in other units" y_label="another one that says at length what it shows, in furlongs per fortnight" title="A title that explains what a chart shows at a length that an author may well need when thinking of the readers: it wraps somewhere"
SELECT i AS step, 'resnet50-imagenet-augmented-with-a-long-name-of-a-run-that-goes-on-and-on-and-ends-in-' || s AS s, s + sin(i / 5.0) AS value
FROM (SELECT unnest(generate_series(0, 40)) AS i), (SELECT unnest(generate_series(1, 12)) AS s)
```

```sql chart=bar series=s title="Bars that lie"
SELECT 'a long name of a config that stands beside its bars, number ' || i AS name, 'series ' || s AS s, i * s - 0.5 AS low, i * s + 0.5 AS high,
       i * s AS value FROM (SELECT unnest(generate_series(-1, 3)) AS i), (SELECT unnest(generate_series(1, 3)) AS s)
```

```sql chart=dot series=experiment x=name y=auc title="Dots in sections"
SELECT experiment, name, run_id, metrics.cv_auc AS auc FROM runs WHERE metrics.cv_auc > 0.99 ORDER BY run_id LIMIT 30
```

```sql chart=pareto x=fit_time_s y=cv_auc log=x title="Fronts of several blocks"
SELECT * FROM pareto('wine', 'cv_auc max, fit_time_s min', 1000)
```

```sql chart=scatter title="Far apart"
SELECT pow(10.0, i) AS a, -pow(10.0, -i) AS b FROM (SELECT unnest(generate_series(-150, 150, 10)) AS i)
```

```sql
SELECT rank, array_to_string(features, ', ') AS features, 'short' AS last FROM feature_sets('breast-cancer', 'auc') ORDER BY size DESC LIMIT 5
```
"""
# Texts of one chart that lie on each other, and those that its picture cuts off.
TEXTS = """() => {
  const near = 1.5;
  const found = [];
  for (const svg of document.querySelectorAll(".chart svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const name = svg.getAttribute("aria-label").slice(0, 40);
    for (const [text, r] of texts) {
      if (r.left < frame.left - near || r.right > frame.right + near || r.top < frame.top - near || r.bottom > frame.bottom + near)
        found.push(`${name}: '${text}' is cut off`);
    }
    // Boxes of text are higher than letters are; of turned texts they are wider.
    const letters = [...svg.querySelectorAll("text")].map((text, i) => {
      const [, r] = texts[i];
      return text.hasAttribute("transform")
        ? [r.left + 0.15 * r.width, r.right - 0.15 * r.width, r.top, r.bottom]
        : [r.left, r.right, r.top + 0.15 * r.height, r.bottom - 0.2 * r.height];
    });
    for (let i = 0; i < texts.length; i++) {
      for (let j = 0; j < i; j++) {
        const [a, b] = [letters[i], letters[j]];
        const across = Math.min(a[1], b[1]) - Math.max(a[0], b[0]);
        const down = Math.min(a[3], b[3]) - Math.max(a[2], b[2]);
        if (across > near && down > near) found.push(`${name}: '${texts[i][0]}' lies on '${texts[j][0]}'`);
      }
    }
  }
  return found;
}"""
# What the reader sees of text and of what is behind it, as relative luminances (WCAG 2.2).
CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return light(color);
    }
    return 1;
  };
  const inCell = ["#fefefe", "#121417"];
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || ["STYLE", "title"].includes(element.tagName)) continue;
    if (inCell.includes(element.getAttribute("fill"))) continue;
    const style = getComputedStyle(element);
    const color = light(channels(element.tagName === "text" ? style.fill : style.color));
    const back = behind(element);
    const ratio = (Math.max(color, back) + 0.05) / (Math.min(color, back) + 0.05);
    if (ratio < 4.5) found.push([element.tagName, element.textContent.slice(0, 40), ratio.toFixed(2)]);
  }
  return found;
}"""


def run(*command, cwd=None, stdin=None):
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def render(runlake, folder):
    """The reports by name: those of the sample runs, one with charts that are hard to draw, and one over runs whose names mean
    harm."""
    demo = folder / "demo"
    run(runlake, "demo", str(demo))
    reports = {}
    for page in PAGES:
        out = folder / f"{page}.html"
        run(runlake, "--store", str(demo), "report", str(ROOT / f"sample_data/reports/{page}.md"), "--out", str(out))
        reports[page] = out
    (folder / "charts.md").write_text(CHARTS_PAGE)
    run(runlake, "--store", str(demo), "report", str(folder / "charts.md"))
    reports["charts"] = folder / "charts.html"
    store = folder / "hostile"
    run(runlake, "--store", str(store), "init")
    lines = []
    for i, name in enumerate(HOSTILE):
        lines.append({"type": "run", "run": f"r{i}", "experiment": "e", "name": name, "start_time": f"2026-01-01T00:00:{i:02}Z"})
        for step in range(3):
            lines.append({"type": "metrics", "run": f"r{i}", "step": step, "values": {"auc": 0.5 + i / 20 + step / 50}})
        lines.append({"type": "finish", "run": f"r{i}"})
    run(runlake, "--store", str(store), "log", stdin="\n".join(json.dumps(line) for line in lines))
    (folder / "names.md").write_text(HOSTILE_PAGE)
    run(runlake, "--store", str(store), "report", str(folder / "names.md"))
    reports["names"] = folder / "names.html"
    return reports


def look(browser, name, path, width, scheme, pictures):
    problems = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    address = path.as_uri()
    page.on("request", lambda request: request.url in (address, "data:,") or problems.append(f"asks for {request.url}"))
    page.goto(address)
    if "broken" in page.title():
        problems.append("a name was run")
    scripts = page.evaluate("document.querySelectorAll('script, iframe, object, link[rel=stylesheet], main img').length")
    if scripts:
        problems.append(f"{scripts} elements that no report needs")
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        problems.append(f"{wide} pixels wide on a screen of {width}")
    charts = page.evaluate(
        "[...document.querySelectorAll('.chart')].map(f => [...f.querySelectorAll('svg')].map(s => s.getBoundingClientRect())"
        ".filter(r => r.width > 0).map(r => [r.width, r.height]))"
    )
    if not charts:
        problems.append("no chart")
    for shown in charts:
        if len(shown) != 1 or shown[0][0] < 300 or shown[0][1] < 120:
            problems.append(f"a chart is shown as {shown}")
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.chart svg text')].map(t => t.getBoundingClientRect()).map(r => Math.max(r.width, r.height)).filter(h => h > 0))"
    )
    if smallest < 9:
        problems.append(f"text of {smallest} pixels in a chart")
    problems.extend(f"hard to read: {found}" for found in page.evaluate(CONTRASTS))
    problems.extend(page.evaluate(TEXTS))
    if pictures:
        page.screenshot(path=str(pictures / f"{name}-{width}-{scheme}.png"), full_page=True)
    context.close()
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--browser", required=True)
    parser.add_argument("--pictures", type=pathlib.Path)
    args = parser.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
    failed = looked = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        reports = render(args.runlake, pathlib.Path(folder))
        browser = playwright.chromium.launch(executable_path=args.browser, args=quiet)
        for name, path in reports.items():
            for width in (390, 1280):
                for scheme in ("light", "dark"):
                    looked += 1
                    for problem in look(browser, name, path, width, scheme, args.pictures):
                        failed += 1
                        print(f"{name}, {width} pixels, {scheme}: {problem}")
        browser.close()
    print(f"{looked} views of {len(reports)} reports, {failed} problems")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

// The page of `transfer serve` and the reports in HTML, in headless Chromium.
//
//   npm install --no-save playwright-core axe-core
//   node tests/browser/check.mjs serve URL PHOTOGRAPH FOLDER [PICTURES]
//   node tests/browser/check.mjs report FILE [PICTURES]
//
// CHROMIUM names the browser, /usr/bin/chromium without it. Screenshots go into the folder PICTURES where one is named.
// Ends with code 1 at the first thing that is wrong, and prints SKIPPED where there is no browser.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const browserPath = process.env.CHROMIUM || "/usr/bin/chromium";
const require = createRequire(join(process.cwd(), "package.json"));
let chromium, axe;
try {
  ({ chromium } = require("playwright-core"));
  axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
} catch (error) {
  console.log("SKIPPED: browser: playwright-core and axe-core are not installed here: " + error.message.split("\n")[0]);
  process.exit(0);
}
if (!existsSync(browserPath)) {
  console.log("SKIPPED: browser: there is no " + browserPath);
  process.exit(0);
}

function expect(condition, what) {
  if (!condition) throw new Error("expected: " + what);
  console.log("ok: " + what);
}

/** A page that notes requests to other hosts and errors. */
async function open(browser, url, options) {
  const context = await browser.newContext({ permissions: ["camera"], ...options });
  const page = await context.newPage();
  const wrong = [];
  const host = new URL(url).host;
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (!["data:", "blob:"].includes(to.protocol) && to.host !== host) wrong.push("request to " + request.url());
  });
  page.on("console", (message) => message.type() === "error" && wrong.push("console: " + message.text()));
  page.on("pageerror", (error) => wrong.push("error: " + error.message));
  await page.goto(url);
  return { page, wrong, context };
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const named = serious.map(({ id, nodes }) => id + " " + nodes[0].html.slice(0, 120));
  expect(serious.length === 0, what + " without serious findings of axe " + named.join("; "));
}

async function noScroll(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  expect(!wide, what + " is no wider than the screen");
}

let pictures = null;
async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, name + ".png"), fullPage: true });
}

/** The first card has the training photographs that the API names, in its order; or none where none were kept. */
async function neighbours(page, url, photograph) {
  const { neighbours: kept } = await (await fetch(new URL("/model", url))).json();
  const body = readFileSync(photograph);
  const headers = { "Content-Type": "application/octet-stream" };
  const answer = await fetch(new URL("/predict?neighbours=5", url), { method: "POST", headers, body });
  const said = (await answer.json()).neighbours;
  const near = page.locator(".card").first().locator(".near");
  if (kept === null) {
    expect(said === null && !(await near.isVisible()), "without photographs of the training none are shown");
    return;
  }
  expect(said.length === Math.min(5, kept), "the API names " + said.length + " of " + kept + " training photographs");
  expect(await near.getByRole("heading", { name: "Most similar training photographs" }).isVisible(), "they have a heading");
  expect((await near.getByRole("listitem").count()) === said.length, "the card shows as many");
  const shown = await near.locator("li").evaluateAll(async (rows) => {
    await Promise.all(rows.map((row) => row.querySelector("img").decode()));
    return rows.map((row) => {
      const image = row.querySelector("img");
      const text = (name) => row.querySelector(name).textContent;
      return { file: image.alt, thumbnail: image.src, width: image.naturalWidth, label: text(".label"), similarity: text(".similarity") };
    });
  });
  for (const [i, { file, thumbnail, similarity, class: name, labels }] of said.entries()) {
    const label = name === undefined ? labels.join(", ") || "no label" : name;
    const expected = { file, thumbnail, width: 64, label, similarity: similarity.toFixed(3) };
    expect(JSON.stringify(shown[i]) === JSON.stringify(expected), `training photograph ${i + 1} is the API's: ${label} ${expected.similarity}`);
  }
  expect(said.every(({ similarity }, i) => i === 0 || similarity <= said[i - 1].similarity), "the most similar come first");
}

async function serve(browser, url, photograph, folder) {
  const { page, wrong } = await open(browser, url, { colorScheme: "light" });
  await page.waitForFunction(() => document.querySelector("#about").textContent.includes("classes"));
  await accessible(page, "the empty page");
  const cards = (n) => page.waitForFunction((n) => document.querySelectorAll(".card").length === n, n, { timeout: 60000 });
  await page.setInputFiles("#files", photograph);
  await cards(1);
  const said = await page.textContent(".card .class");
  expect(/ %$|unknown|no label/.test(said.trim()), "a class with its probability: " + said.trim());
  const drawn = await page.evaluate(() => {
    const canvas = document.querySelector(".card .photo");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(data).size > 8;
  });
  expect(drawn, "the photograph is drawn");
  await neighbours(page, url, photograph);
  const bytes = readFileSync(photograph).toString("base64");
  const transferred = (event, target, type) =>
    page.evaluate(([event, target, type, bytes, name]) => {
      const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([content], name));
      const made = event === "paste"
        ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
        : new DragEvent("drop", { dataTransfer: data, bubbles: true });
      document.querySelector(target).dispatchEvent(made);
    }, [event, target, type, bytes, event + " " + basename(photograph)]);
  await transferred("drop", "#drop");
  await cards(2);
  await transferred("paste", "body");
  await cards(3);
  expect(true, "a dropped and a pasted photograph have cards");
  await page.setInputFiles("#folder", folder);
  await page.waitForFunction(() => document.querySelectorAll(".card").length > 3);
  await page.click("#camera");
  await page.waitForSelector("#live:not([hidden])");
  const before = await page.locator(".card").count();
  await page.click("#frame");
  await page.waitForFunction(() => /camera/.test(document.querySelector("#results").textContent), null, { timeout: 60000 });
  expect((await page.locator(".card").count()) > before, "a frame of the camera has a card");
  await page.click("#stop");
  await page.waitForFunction(() => !/to come/.test(document.querySelector("#status").textContent), null, { timeout: 60000 });
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  const csv = readFileSync(await download.path(), "utf8").trim().split("\n");
  expect(csv.length === 1 + (await page.locator(".card").count()), "the CSV has a line for each card");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement !== document.body), "the keyboard reaches the buttons");
  await accessible(page, "the page with results");
  await picture(page, "serve-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "the dark page");
  await picture(page, "serve-dark");
  await page.setViewportSize({ width: 360, height: 740 });
  await noScroll(page, "the page on a phone");
  await picture(page, "serve-phone");
  await page.click("#clear");
  expect((await page.locator(".card").count()) === 0, "clearing removes all cards");
  expect(wrong.length === 0, "no request to another host and no error " + wrong.join("; "));
}

async function report(browser, file) {
  const { page, wrong } = await open(browser, pathToFileURL(resolve(file)).href, { colorScheme: "light" });
  const name = basename(file, ".html");
  const cells = page.locator("button[data-actual]");
  const count = Number(await cells.first().textContent());
  await cells.first().click();
  await page.waitForSelector("#chosen h3");
  const listed = await page.locator("#chosen li").count();
  expect(listed === Math.min(count, 200), "a number of the matrix shows its " + count + " photographs");
  if (await page.locator("#map").count()) {
    await page.click("#closer");
    await page.locator("#map circle").first().dispatchEvent("click");
    expect((await page.textContent("#point")).length > 3, "a point of the map shows its photograph");
    await page.click("#all");
  }
  await accessible(page, "the report");
  await picture(page, name + "-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "the dark report");
  await picture(page, name + "-dark");
  await page.setViewportSize({ width: 360, height: 740 });
  await noScroll(page, "the report on a phone");
  await picture(page, name + "-phone");
  expect(wrong.length === 0, "no request and no error " + wrong.join("; "));
}

const [what, ...rest] = process.argv.slice(2);
pictures = rest[what === "serve" ? 3 : 1] || null;
const browser = await chromium.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
});
try {
  if (what === "serve") await serve(browser, ...rest);
  else if (what === "report") await report(browser, ...rest);
  else throw new Error("expected serve or report");
} catch (error) {
  console.error("error: " + error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}

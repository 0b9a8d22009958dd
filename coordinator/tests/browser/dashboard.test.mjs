// The dashboard as a person meets it. One sweep is watched through a crash of the coordinator, others are looked at when they have ended.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { PATIENCE, World, browse, findings, missing, shoot, watched } from "./world.mjs";

if (missing.length > 0) {
  const words = `SKIPPED: the browser tests lack ${missing.join(", ")}`;
  console.error(words);
  process.exit(process.env.CI === "true" ? 1 : 0);
}

const file = (name, { seeds = 5, epochs = 4, losses = "[softmax, cosine, { am_softmax: { margin: [0.1, 0.2, 0.35], scale: [10, 30] } }]" } = {}) => `name: ${name}
description: Does the margin matter?
datasets: [digits]
seeds: ${seeds}
baseline: softmax
losses: ${losses}
model: { backbone: small_cnn }
training: { epochs: ${epochs}, batch_size: 10 }
`;

let world, browser, done;

before(async () => {
  [world, browser] = await Promise.all([World.start(), browse()]);
  done = await world.submit("margins", file("margins"));
  const first = await world.work("fake:fail=5", 2);
  await world.until(done, (s) => s.counts.queued + s.counts.leased + s.counts.delayed === 0 || s.counts.succeeded >= 32);
  await first.stop();
}, { timeout: 2 * PATIENCE });

after(async () => {
  await world?.stop();
  await browser?.close();
});

const clean = (page) => assert.deepEqual(page.faults.list, []);

test("a running sweep is watched through a crash of the coordinator, and cancelled", { timeout: 3 * PATIENCE }, async () => {
  const id = await world.submit("live", file("live", { seeds: 20, epochs: 8 }));
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/sweeps/${id}`);
  await page.evaluate(() => { window.notReloaded = true; });
  const worker = await world.work("fake:epoch_ms=120", 2);
  const board = () => page.locator("#board").innerText();
  const first = await board();
  await page.waitForFunction((was) => document.querySelector("#board").innerText !== was && /\d\d\.\d/.test(document.querySelector("#board").innerText), first);
  await shoot(page, "sweep-running", { dark: true });

  page.faults.quiet = true;
  await world.coordinator.kill();
  await page.locator("#banner").waitFor({ state: "visible" });
  await shoot(page, "sweep-reconnecting");
  const [during, endedThen] = [await board(), (await world.until(id, () => true)).counts.succeeded];
  // Work goes on meanwhile: it needs no coordinator.
  await world.until(id, (s) => s.counts.succeeded >= endedThen + 6);
  await world.coordinate();
  await page.locator("#banner").waitFor({ state: "hidden" });
  await page.waitForFunction((was) => document.querySelector("#board").innerText !== was, during);
  page.faults.quiet = false;
  assert.ok(await page.evaluate(() => window.notReloaded), "the page was patched, not loaded anew");

  await page.locator("#steer details.sure summary").first().click();
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: /give up/i }).first().click()]);
  await page.getByText("cancelled").first().waitFor();
  assert.equal((await world.until(id, (s) => s.state !== "active")).state, "cancelled");
  await worker.stop();
  clean(page);
  await context.close();
});

test("the list of sweeps is searched, filtered and sorted", { timeout: 2 * PATIENCE }, async () => {
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(world.url);
  const names = () => page.locator("#sweeps tbody tr:visible th").allInnerTexts();
  assert.ok((await names()).includes("margins"));
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.type("marg");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  assert.deepEqual(await names(), ["margins"]);
  await page.goto(world.url);
  await page.locator("#sweeps thead button").first().click();
  assert.equal(await page.locator("#sweeps th[aria-sort]").getAttribute("aria-sort"), "ascending");
  const up = await names();
  assert.deepEqual(up, [...up].sort());
  await page.locator("#sweeps thead button").first().click();
  assert.deepEqual(await names(), up.reverse());
  assert.deepEqual(await findings(page), []);
  await shoot(page, "sweeps", { dark: true, phone: true });
  clean(page);
  await context.close();
});

test("an ended sweep is read, and its report downloaded and checked", { timeout: 2 * PATIENCE }, async () => {
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/sweeps/${done}`);
  await page.locator("#board table").first().waitFor();
  assert.deepEqual(await findings(page), []);
  await shoot(page, "sweep", { dark: true, phone: true });
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "report.json" }).click()]);
  const report = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.equal(report.sweep.id, done);
  assert.equal(report.progress.total, 40);
  const [html] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "report.html" }).click()]);
  const text = readFileSync(await html.path(), "utf8");
  assert.match(text, /^<!DOCTYPE html>/);
  assert.ok(!/src="http|href="http/.test(text), "the report is self-contained");
  clean(page);
  await context.close();
});

test("a run shows its settings, its mistakes as pictures and its attempts", { timeout: 2 * PATIENCE }, async () => {
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/sweeps/${done}`);
  await page.locator("#configs a[href^='/runs/']").first().click();
  await page.waitForURL(/\/runs\//);
  await page.getByRole("heading", { level: 1, name: /seed 1$/ }).waitFor();
  await shoot(page, "run", { dark: true, phone: true });
  const images = page.locator(".pictures img");
  await images.first().scrollIntoViewIfNeeded();
  await page.waitForFunction(() => { const image = document.querySelector(".pictures img"); return image.complete && image.naturalWidth === 8; });
  await page.locator("#mistakes").scrollIntoViewIfNeeded();
  await page.waitForLoadState("networkidle");
  await shoot(page, "run-mistakes");
  assert.deepEqual(await findings(page), []);
  const all = await images.count();
  await page.locator("table.confusion td a").first().click();
  await page.waitForURL(/truth=\d+&taken=\d+/);
  assert.ok((await images.count()) < all, "only the images of one cell");
  assert.match(await page.locator("#mistakes").innerText(), /were taken for/);
  clean(page);

  // A run that failed once says why, whatever became of it later.
  const failed = await (await context.request.get(`${world.url}/api/v1/sweeps/${done}/runs?limit=100`)).json();
  const broken = failed.runs.find((run) => run.error);
  await page.goto(`${world.url}/runs/${broken.run.id}`);
  await page.locator("#attempts summary", { hasText: "error and log" }).first().click();
  await page.locator("#attempts").getByText("the fake trainer fails on seed 5").first().waitFor();
  assert.deepEqual(await findings(page), []);
  clean(page);
  await context.close();
});

test("a running run and its worker are followed, and the worker is drained", { timeout: 3 * PATIENCE }, async () => {
  const id = await world.submit("slow", file("slow", { seeds: 2, epochs: 200, losses: "[softmax, hinge]" }));
  const worker = await world.work("fake:epoch_ms=400", 2);
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/workers`);
  // It may repeat a run of `margins` too: only `slow` trains for 200 epochs.
  const own = page.locator("tbody tr", { hasText: /[1-9]\d* of 200/ }).first();
  await own.waitFor();
  const name = (await own.getByRole("rowheader").innerText()).replace(/\/\d+$/, "");
  assert.deepEqual(await findings(page), []);
  await shoot(page, "workers", { dark: true, phone: true });
  await own.getByRole("link").click();
  await page.getByText(/In training on/).waitFor();
  const epochs = () => page.locator("#head").innerText();
  const was = await epochs();
  await page.waitForFunction((was) => document.querySelector("#head").innerText !== was, was);
  await shoot(page, "run-running");
  assert.deepEqual(await findings(page), []);
  await page.goto(`${world.url}/workers`);
  await page.getByLabel(`Drain ${name} …`, { exact: true }).click();
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: `Yes, drain ${name}`, exact: true }).click()]);
  await page.locator("tbody tr", { hasText: name }).getByText("draining").first().waitFor();
  await worker.end();
  assert.equal((await world.until(id, (s) => s.counts.leased === 0)).counts.succeeded, 0);
  clean(page);
  await context.close();
});

test("configurations of two sweeps are compared", { timeout: 2 * PATIENCE }, async () => {
  const other = await world.submit("angular", file("angular", { seeds: 5, losses: "[softmax, hinge]" }));
  const worker = await world.work("fake", 2);
  // Verdicts are spoken of ended sweeps; `margins` may have runs to repeat, after a delay.
  for (const id of [other, done]) await world.until(id, ({ counts }) => counts.queued + counts.leased + counts.delayed === 0);
  await worker.stop();
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/compare`);
  for (const name of ["margins", "angular"]) await page.getByRole("checkbox", { name, exact: true }).check();
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Show their configurations" }).click()]);
  await page.getByRole("checkbox", { name: "cosine", exact: true }).check();
  await page.getByRole("checkbox", { name: /^hinge/ }).check();
  await page.getByRole("radio", { name: /Reference: softmax of margins/ }).check();
  assert.deepEqual(await findings(page), []);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Compare", exact: true }).click()]);
  const table = await page.locator("#differences").innerText();
  assert.match(table, /margins: cosine/);
  assert.match(table, /angular: hinge/);
  assert.match(table, /post hoc/);
  assert.deepEqual(await findings(page), []);
  await shoot(page, "compare", { dark: true, phone: true });
  clean(page);
  await context.close();
});

test("the keyboard reaches the content, and focus is seen", { timeout: 2 * PATIENCE }, async () => {
  const context = await browser.open();
  const page = await watched(context, world);
  await page.goto(`${world.url}/sweeps/${done}`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  for (let i = 0; i < 30; i += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return { tag: document.activeElement.tagName, seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 };
    });
    assert.ok(focus.seen || focus.tag === "BODY", `focus on ${focus.tag} is not seen`);
  }
  clean(page);
  await context.close();
});

test("without JavaScript every page is whole and forms work", { timeout: 2 * PATIENCE }, async () => {
  const id = await world.submit("plain", file("plain", { seeds: 2, losses: "[softmax, hinge]", epochs: 7 }));
  const context = await browser.open({ javaScriptEnabled: false });
  const page = await watched(context, world);
  await page.goto(world.url);
  const row = page.locator("tr", { hasText: "plain" });
  await row.getByRole("button", { name: "Pause plain" }).click();
  await page.locator("tr", { hasText: "plain" }).getByRole("button", { name: "Resume plain" }).waitFor();
  assert.match((await world.until(id, () => true)).state, /^paused/);
  await page.goto(`${world.url}/sweeps/${done}`);
  assert.match(await page.locator("#board").innerText(), /am_softmax/);
  const run = await page.locator("#configs a[href^='/runs/']").first().getAttribute("href");
  await page.goto(world.url + run);
  assert.match(await page.locator("main").innerText(), /What it takes for what/);
  await page.goto(`${world.url}/workers`);
  assert.match(await page.locator("main").innerText(), /Workers/);
  await page.goto(`${world.url}/compare?sweep=${done}`);
  await page.getByRole("checkbox", { name: "cosine", exact: true }).check();
  await page.getByRole("radio", { name: /Reference: softmax/ }).check();
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  assert.match(await page.locator("#differences").innerText(), /cosine/);
  clean(page);
  await context.close();
});

test("a token opens what its role may, and a wrong one nothing", { timeout: 3 * PATIENCE }, async () => {
  const tokens = { read: "read-token-0123456789", submit: "submit-token-0123456789", admin: "admin-token-0123456789" };
  const guarded = await World.start({ tokens });
  try {
    const id = await guarded.submit("guarded", file("guarded", { seeds: 2, losses: "[softmax, hinge]" }));
    const worker = await guarded.work("fake:epoch_ms=300", 1);
    const context = await browser.open();
    const page = await watched(context, guarded);
    await page.goto(`${guarded.url}/sweeps/${id}`);
    assert.match(page.url(), /\/login\?next=/);
    assert.deepEqual(await findings(page), []);
    await shoot(page, "login");
    const logIn = async (token) => {
      await page.locator("input[name=token]").fill(token);
      await Promise.all([page.waitForNavigation(), page.locator("main button[type=submit]").click()]);
    };
    page.faults.quiet = true; // a browser reports the 401 in its console
    await logIn("wrong-token-0123456789");
    await page.getByText("not known here").waitFor();
    page.faults.quiet = false;
    await logIn(tokens.read);
    assert.equal(page.url(), `${guarded.url}/sweeps/${id}`);
    assert.equal(await page.locator("#steer").count(), 0, "a reader has no buttons");
    assert.ok(await page.evaluate(() => !document.cookie.includes("sweep")), "no script reads the cookie");
    await page.goto(`${guarded.url}/workers`);
    assert.equal(await page.getByText("Drain…").count(), 0);
    await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Log out" }).click()]);
    await page.goto(`${guarded.url}/login`);
    await logIn(tokens.admin);
    await page.goto(`${guarded.url}/workers`);
    await page.getByText("Drain…").first().waitFor();
    await page.goto(`${guarded.url}/sweeps/${id}`);
    await page.getByRole("button", { name: /^Pause/ }).first().click();
    await page.getByRole("button", { name: /^Resume/ }).first().waitFor();
    await worker.stop();
    clean(page);
    await context.close();
  } finally {
    await guarded.stop();
  }
});

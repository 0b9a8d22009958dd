// Everything the tests need: a real redis-server, the real `sweep` with the fake trainer, and Debian's Chromium.
//
// SWEEP_BIN names the binary (else target/release/sweep), SWEEP_CHROMIUM the browser, SWEEP_REDIS_SERVER the server.
// SWEEP_SCREENSHOTS names the folder of screenshots (else target/screenshots). Nothing here speaks to another machine.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

export const shots = process.env.SWEEP_SCREENSHOTS ?? join(target, "screenshots");
/** Longer than anything here takes, shorter than a person's patience. */
export const PATIENCE = 60_000;

const find = (names) =>
  names.filter(Boolean).find((name) => existsSync(name) || spawnSync("which", [name]).status === 0);

const sweep = find([process.env.SWEEP_BIN, join(target, "release/sweep")]);
const browserPath = find([process.env.SWEEP_CHROMIUM, "/usr/bin/chromium", "chromium", "chromium-browser"]);
const redis = find([process.env.SWEEP_REDIS_SERVER, "redis-server"]);

/** What is missing, if anything: the tests then cannot run. */
export const missing = [
  [sweep, "the sweep binary (cargo build --release, or SWEEP_BIN)"],
  [browserPath, "chromium (./test.sh tools, or SWEEP_CHROMIUM)"],
  [redis, "redis-server (./test.sh tools, or SWEEP_REDIS_SERVER)"],
].filter(([found]) => !found).map(([, what]) => what);

const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

// A test that is broken off leaves nothing behind.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A process that is killed at the end, and what it said so far. */
class Service {
  constructor(command, args, options) {
    this.said = "";
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (bytes) => { this.said = (this.said + bytes).slice(-20_000); });
    }
    this.ended = new Promise((done) => this.child.on("exit", done));
    running.add(this.child);
    this.ended.then(() => running.delete(this.child));
  }

  async ready(words) {
    const began = Date.now();
    while (!this.said.includes(words)) {
      if (this.child.exitCode !== null || Date.now() - began > PATIENCE) throw new Error(`never \`${words}\`:\n${this.said}`);
      await new Promise((again) => setTimeout(again, 20));
    }
    return this;
  }

  /** Waits until it ends of itself. */
  async end() {
    let timer;
    const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`never ended:\n${this.said}`)), PATIENCE); });
    await Promise.race([this.ended, late]).finally(() => clearTimeout(timer));
  }

  /** Ends it as an operator does: a worker hands back what it holds, so that no later test waits for its leases. */
  async stop() {
    this.child.kill("SIGTERM");
    await this.end();
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

/** A redis-server, a coordinator on it, and the command line. */
export class World {
  static async start({ tokens } = {}) {
    const world = new World();
    world.dir = mkdtempSync(join(tmpdir(), "sweep-browser-"));
    world.services = [];
    const redisPort = await freePort();
    world.store = `redis://127.0.0.1:${redisPort}?namespace=browser`;
    await world.service(redis, ["--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", world.dir]).ready("Ready to accept");
    world.port = await freePort();
    world.url = `http://127.0.0.1:${world.port}`;
    if (tokens) {
      world.tokens = join(world.dir, "tokens");
      writeFileSync(world.tokens, Object.entries(tokens).map(([role, token]) => `${role} ${token}\n`).join(""), { mode: 0o600 });
    }
    await world.coordinate();
    return world;
  }

  service(command, args) {
    const env = { PATH: process.env.PATH, HOME: this.dir, XDG_CONFIG_HOME: this.dir, NO_COLOR: "1" };
    const service = new Service(command, args, { cwd: this.dir, env });
    this.services.push(service);
    return service;
  }

  /** Starts the coordinator, again on the same port after a kill. */
  async coordinate() {
    const args = ["coordinator", "--store", this.store, "--listen", `127.0.0.1:${this.port}`];
    if (this.tokens) args.push("--tokens", this.tokens);
    this.coordinator = await this.service(sweep, args).ready("http://");
  }

  work(trainer, slots = 2) {
    return this.service(sweep, ["worker", "--store", this.store, "--trainer", trainer, "--slots", `${slots}`]).ready("slots");
  }

  /** Submits a sweep file past the coordinator, so that it needs no token; its id. */
  async submit(name, text) {
    const file = join(this.dir, `${name}.yaml`);
    writeFileSync(file, text);
    const sent = this.service(sweep, ["submit", file, "--store", this.store, "--json"]);
    if ((await sent.ended) !== 0) throw new Error(sent.said);
    const listed = this.service(sweep, ["status", name, "--store", this.store, "--json"]);
    await listed.ended;
    return JSON.parse(listed.said).id;
  }

  /** Waits until the sweep's counts are as wanted. */
  async until(id, wanted) {
    const began = Date.now();
    for (;;) {
      const asked = this.service(sweep, ["status", id, "--store", this.store, "--json"]);
      await asked.ended;
      const status = JSON.parse(asked.said);
      if (wanted(status)) return status;
      if (Date.now() - began > PATIENCE) throw new Error(`never: ${wanted}\n${asked.said}`);
    }
  }

  async stop() {
    for (const service of this.services.reverse()) await service.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A browser that phones nobody. */
export async function browse() {
  const profile = mkdtempSync(join(tmpdir(), "sweep-chromium-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const opened = [];
  const open = async (options = {}) => {
    const context = await chromium.launchPersistentContext(mkdtempSync(join(profile, "p-")), {
      executablePath: browserPath, headless: true, args: flags, viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options,
    });
    opened.push(context);
    return context;
  };
  // A test that failed has left its window open, and an open one keeps this process alive.
  const close = async () => {
    await Promise.allSettled(opened.map((context) => context.close()));
    rmSync(profile, { recursive: true, force: true });
  };
  return { open, close };
}

/** A page that notes every console error and every request to elsewhere. `quiet` while the coordinator is down on purpose. */
export async function watched(context, world) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE / 2);
  const faults = { list: [], quiet: false };
  const note = (text) => { if (!faults.quiet) faults.list.push(text); };
  page.on("console", (message) => { if (message.type() === "error" || /content security policy/i.test(message.text())) note(`${page.url()}: ${message.text()}`); });
  page.on("pageerror", (error) => note(`${page.url()}: ${error}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== world.url) faults.list.push(`request to ${request.url()}`);
  });
  page.faults = faults;
  return page;
}

/** Serious and critical findings of axe-core, in light and in dark. */
export async function findings(page) {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    // The page's policy lets no script in, but what a debugger evaluates is not of the page.
    await page.evaluate(await (await import("node:fs/promises")).readFile(axe, "utf8"));
    const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of result.violations) {
      if (["serious", "critical"].includes(violation.impact)) {
        const where = violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`);
        found.push(`${page.url()} (${colorScheme}) ${violation.id}: ${where.join("; ")}`);
      }
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  return found;
}

/** Keeps how a page looks: `NAME.png`, in dark `NAME-dark.png`, on a phone `NAME-phone.png`. */
export async function shoot(page, name, { dark = false, phone = false } = {}) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
  if (dark) {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: join(shots, `${name}-dark.png`) });
    await page.emulateMedia({ colorScheme: "light" });
  }
  if (phone) {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: join(shots, `${name}-phone.png`) });
    await page.setViewportSize({ width: 1280, height: 900 });
  }
}

#!/usr/bin/env node
// Runs the command line on the Bun runtime that came with the installation (or a system one), shielded from files of the
// working directory that the runtime would otherwise obey.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const local = fileURLToPath(new URL('../node_modules/.bin/bun', import.meta.url));
const bun = existsSync(local) ? local : 'bun';
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const flags = ['--no-env-file', '--config=/dev/null', '--no-install', main];
const child = spawn(bun, [...flags, ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  process.stderr.write(`cardea: the Bun runtime cannot be started (${error.message}).\n`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 1)));

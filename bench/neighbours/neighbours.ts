import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Program, startProgram } from '../../tests/support/program.ts';
import { useOfProcess } from '../machine.ts';
import { findFreePort, type Server, startUntil, useNothing, useOfTree } from '../server.ts';
import type { Target } from '../target.ts';

/** What a neighbour repeats: a request of Cardea, and the body of its answer. */
export type Model = {
  /** Last part of the neighbour's name: `rest`, `web`, `hcx`, `soap`. */
  readonly name: string;
  readonly request: string;
  readonly body: string;
  readonly type: string;
};

export const neighbourNames = ['nginx', 'bun', 'node'] as const;
export type NeighbourName = (typeof neighbourNames)[number];

/** Where a neighbour puts its files, and the words that choose its core. */
export type Place = { readonly folder: string; readonly pinning: readonly string[]; readonly node: string };

/** Servers that answer Cardea's very bodies to Cardea's very requests without any work. */
export async function makeNeighbours(
  names: readonly NeighbourName[],
  models: readonly Model[],
  place: Place,
): Promise<Target[]> {
  const targets: Target[] = [];
  if (names.includes('nginx')) targets.push(...(await makeNginx(models, place)));
  const rest = models.find((model) => model.name === 'rest');
  if (rest === undefined) return targets;
  if (names.includes('bun')) {
    const script = join(import.meta.dir, 'constant.ts');
    targets.push(
      await makeConstant('bun', 'bare Bun.serve, the body of REST', [process.execPath, script], rest, place),
    );
  }
  if (names.includes('node')) {
    const script = join(import.meta.dir, 'constant.mjs');
    targets.push(await makeConstant('node', 'bare node:http, the body of REST', [place.node, script], rest, place));
  }
  return targets;
}

async function makeNginx(models: readonly Model[], { folder, pinning }: Place): Promise<Target[]> {
  const port = await findFreePort();
  const configuration = join(folder, 'nginx.conf');
  mkdirSync(join(folder, 'logs'), { recursive: true });
  writeFileSync(configuration, nginxConfiguration(folder, port, models));
  const command = [...pinning, 'nginx', '-p', folder, '-c', configuration, '-e', join(folder, 'error.log')];
  const program = startProgram([], { command });
  await waitForPort(port, program);
  const server: Server = { name: 'nginx', port, use: () => useOfTree(program.pid), useBehind: useNothing };
  return models.map((model) => ({
    name: `nginx-${model.name}`,
    title: `nginx \`return 200\`, the body of ${model.name === 'web' ? 'web' : model.name.toUpperCase()}`,
    kind: 'neighbour',
    server,
    requests: [model.request],
    accepted: { status: 200, contains: model.body },
  }));
}

function nginxConfiguration(folder: string, port: number, models: readonly Model[]): string {
  const locations = models.map(
    ({ request, body, type }) =>
      `    location = ${pathOf(request)} { default_type "${type}"; return 200 ${quote(body)}; }`,
  );
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  geo $dollar { default "$"; }
  server {
    listen 127.0.0.1:${port};
${locations.join('\n')}
  }
}
`;
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replaceAll('$', '${dollar}')}'`;
}

function pathOf(request: string): string {
  return request.split(' ')[1] ?? '/';
}

/** nginx says nothing when it is up. */
async function waitForPort(port: number, program: Program): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    if (answer !== undefined) return;
    await Bun.sleep(50);
  }
  throw new Error(`nginx did not start: ${program.errors().trim()}`);
}

async function makeConstant(
  name: string,
  title: string,
  command: readonly string[],
  model: Model,
  { folder, pinning }: Place,
): Promise<Target> {
  const file = join(folder, 'rest.body');
  writeFileSync(file, model.body, 'latin1');
  const all = [...pinning, ...command, file, model.type, pathOf(model.request)];
  const { program, match } = await startUntil(all, /"port":(\d+)/);
  const use = () => useOfProcess(program.pid);
  return {
    name,
    title,
    kind: 'neighbour',
    server: { name, port: Number(match[1]), use, useBehind: useNothing },
    requests: [model.request],
    accepted: { status: 200, contains: model.body },
  };
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Program, startProgram } from '../../tests/support/program.ts';
import { useOfProcess } from '../machine.ts';
import type { Place } from '../neighbours/neighbours.ts';
import { findFreePort, type Server, startUntil, useNothing, useOfTree } from '../server.ts';
import { type Target, writeRequest } from '../target.ts';

type Peer = {
  readonly title: string;
  readonly script: string;
  /** What it keeps its sessions in, beside itself. */
  readonly store?: 'redis' | 'folder';
  readonly package: string;
  /** A further package that may be missing, where it could not be compiled. */
  readonly needs?: string;
};

/** The servers that npm offers for the same call, by the names that the command line uses. */
const peers = {
  'fastify-session': { title: '@fastify/session, memory', script: 'fastify-session', package: '@fastify/session' },
  'fastify-session-redis': {
    title: '@fastify/session, Redis',
    script: 'fastify-session',
    store: 'redis',
    package: '@fastify/session',
  },
  'express-session-redis': {
    title: 'express-session, Redis',
    script: 'express-session',
    store: 'redis',
    package: 'express-session',
  },
  'better-auth': {
    title: 'better-auth, SQLite',
    script: 'better-auth',
    store: 'folder',
    package: 'better-auth',
    needs: 'better-sqlite3',
  },
  'oidc-provider': { title: 'oidc-provider, introspection, memory', script: 'oidc-provider', package: 'oidc-provider' },
  'node-soap': { title: 'npm soap server, SessionInfo, memory', script: 'soap', package: 'soap' },
} as const satisfies Record<string, Peer>;

export type PeerName = keyof typeof peers;
export const peerNames = Object.keys(peers) as PeerName[];

const packages = join(import.meta.dir, '../node_modules');

/** Installs the peers' packages if they are missing. @returns whether they are there now */
export async function installPeers(report: (line: string) => void): Promise<boolean> {
  if (existsSync(packages)) return true;
  report('The packages of the peers are missing; running: npm ci --prefix bench');
  if (Bun.which('npm') === null) return false;
  const child = Bun.spawn(['npm', 'ci', '--prefix', join(import.meta.dir, '..')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return (await child.exited) === 0;
}

/** What a peer prints of itself, see `listen.mjs`. */
type Announcement = {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly requests: readonly { readonly headers: Record<string, string>; readonly body?: string }[];
  readonly contains: string;
};

/** Starts peers, with a Redis of their own where they need one. Those that cannot run are told and left out. */
export async function makePeers(
  names: readonly PeerName[],
  place: Place,
  omit: (line: string) => void,
): Promise<Target[]> {
  const targets: Target[] = [];
  for (const name of names) {
    const peer: Peer = peers[name];
    const missing = [peer.package, peer.needs ?? peer.package].find((one) => !existsSync(join(packages, one)));
    if (missing !== undefined) omit(`${peer.title}: the package ${missing} is not installed`);
    else if (peer.store === 'redis' && Bun.which('redis-server') === null)
      omit(`${peer.title}: Redis is not installed`);
    else targets.push(...(await tryPeer(name, peer, place, omit)));
  }
  return targets;
}

async function tryPeer(name: PeerName, peer: Peer, place: Place, omit: (line: string) => void): Promise<Target[]> {
  try {
    return [await startPeer(name, peer, place)];
  } catch (error) {
    omit(`${peer.title}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
}

async function startPeer(name: PeerName, peer: Peer, place: Place): Promise<Target> {
  const redis = peer.store === 'redis' ? await startRedis(place) : undefined;
  const extra = redis === undefined ? [] : [String(redis.port)];
  const folder = peer.store === 'folder' ? [place.folder] : [];
  const command = [...place.pinning, place.node, join(import.meta.dir, `${peer.script}.mjs`), ...extra, ...folder];
  const { program, match } = await startUntil(command, /^(\{"port".*\})$/m, { NODE_ENV: 'production' });
  const call = JSON.parse(match[1] ?? '') as Announcement;
  const server: Server = {
    name,
    port: call.port,
    use: () => useOfProcess(program.pid),
    useBehind: redis === undefined ? useNothing : () => useOfTree(redis.program.pid),
  };
  return {
    name,
    title: `${peer.title} (${versionOfPackage(peer.package)})`,
    kind: 'peer',
    server,
    requests: call.requests.map(({ headers, body }) => writeRequest(call.method, call.path, headers, body)),
    accepted: { status: 200, contains: call.contains },
  };
}

function versionOfPackage(name: string): string {
  const text = readFileSync(join(packages, name, 'package.json'), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}

/** One that keeps nothing on disk, on the same core as the peer. */
async function startRedis({ folder, pinning }: Place): Promise<{ program: Program; port: number }> {
  const port = await findFreePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const program = startProgram([], { command: [...pinning, 'redis-server', ...options] });
  await program.waitFor(/Ready to accept connections/);
  return { program, port };
}

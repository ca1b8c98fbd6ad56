import { readFileSync } from 'node:fs';
import { startCluster } from '../tests/support/postgres.ts';
import type { Use } from './machine.ts';
import { useOfTree } from './server.ts';

/** A PostgreSQL of the run's own, from the packages of the root. */
export type Database = { readonly url: string; readonly use: () => Use; readonly stop: () => Promise<void> };

/** Starts one with durable settings. */
export async function startDatabase(): Promise<Database> {
  const cluster = await startCluster();
  const url = await cluster.createDatabase('bench');
  const pid = await readServerPid(url);
  return { url, use: () => useOfTree(pid), stop: () => cluster.stop() };
}

async function readServerPid(url: string): Promise<number> {
  const sql = new Bun.SQL(url, { max: 1 });
  const [row] = (await sql`show data_directory`) as { data_directory: string }[];
  await sql.close();
  return Number(readFileSync(`${row?.data_directory}/postmaster.pid`, 'utf8').split('\n')[0]);
}

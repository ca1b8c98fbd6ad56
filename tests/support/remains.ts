import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { TestServer } from './server.ts';

/** Length by which texts are looked up; whatever holds a secret holds such a piece of it. */
export const pieceLength = 12;

/** Hold the keys themselves. */
const keyFiles = ['signing-keys.json', 'tls-key.pem'];

/**
 * The texts under which some bytes could lie somewhere, in lower case: as they are, in hex, and in base64 wherever in a longer text
 * they began.
 */
export function spellings(bytes: Buffer): string[] {
  const base64 = [0, 1, 2].flatMap((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '');
    // The first and last letters also hold bits of what stood before and after.
    const inner = whole.slice(shift === 0 ? 0 : shift + 1, -1);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [bytes.toString('latin1'), bytes.toString('hex'), ...base64].map((text) => text.toLowerCase());
}

/**
 * Those of the texts, which are in lower case, that occur in any letter case. One pass over the remains, since they are long and the
 * texts are many.
 */
export function findIn(whole: string, texts: readonly string[]): string[] {
  const remains = whole.toLowerCase();
  const byPiece = new Map<string, string[]>();
  const starts = new Uint8Array(0x10000);
  for (const text of texts) {
    const piece = text.slice(0, pieceLength);
    byPiece.set(piece, [...(byPiece.get(piece) ?? []), text]);
    starts[startOf(piece, 0)] = 1;
  }
  const found = new Set<string>();
  for (let at = 0; at + pieceLength <= remains.length; at += 1) {
    if (starts[startOf(remains, at)] === 0) continue;
    for (const text of byPiece.get(remains.slice(at, at + pieceLength)) ?? []) {
      if (remains.startsWith(text, at)) found.add(text);
    }
  }
  return [...found];
}

/** Two characters of one byte each as a number: sorts out most places cheaply. */
function startOf(text: string, at: number): number {
  return ((text.charCodeAt(at) << 8) | text.charCodeAt(at + 1)) & 0xffff;
}

/** Every file of the server's data directory but the keys, and every log line. */
export function readRemains({ directory, log }: Pick<TestServer, 'directory' | 'log'>): string {
  const names = readdirSync(directory).filter((name) => !keyFiles.includes(name));
  return [...names.map((name) => readText(join(directory, name))), ...log].join('\n');
}

/** Every row of every table of the server's database, as PostgreSQL writes it as text. */
export async function dumpRows({ core }: Pick<TestServer, 'core'>): Promise<string> {
  const { db } = core.store;
  const tables = await sql<{
    name: string;
  }>`select tablename as name from pg_tables where schemaname = 'public'`.execute(db);
  const texts: string[] = [];
  for (const { name } of tables.rows) {
    const { rows } = await sql<{ row: string }>`select t::text as row from ${sql.table(name)} t`.execute(db);
    texts.push(...rows.map(({ row }) => row));
  }
  return texts.join('\n');
}

/**
 * Every file of the PostgreSQL that the server uses, the write-ahead log included, after a checkpoint. For a cluster
 * of the test's own, on this machine.
 */
export async function readClusterFiles({ core }: Pick<TestServer, 'core'>): Promise<string> {
  await sql`checkpoint`.execute(core.store.db);
  const { rows } = await sql<{ path: string }>`select current_setting('data_directory') as path`.execute(core.store.db);
  const files = readdirSync(rows[0]?.path ?? '', { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return files.map(({ parentPath, name }) => readText(join(parentPath, name))).join('\n');
}

/** Most of a page or log segment is empty; runs of zeros are shortened. */
function readText(path: string): string {
  return readFileSync(path)
    .toString('latin1')
    .replaceAll(/\0{64,}/g, '\0');
}

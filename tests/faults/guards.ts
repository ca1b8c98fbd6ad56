/**
 * The guards of the product, each as the text that it is and as the text that leaves it out. The product holds no switch: a server
 * without a guard is started with `guard-off.ts` preloaded, which changes the source on its way into the runtime.
 */

export type Patch = { readonly file: string; readonly from: string; readonly to: string };

/** Beside each: what the server does without it. */
export const guards = {
  /** Logouts are answered from memory and written a moment later. */
  'commit before answer': [
    {
      file: 'core/sessions.ts',
      from: 'return change(core, (trx) => endWithin(trx, core, sessionId, facts), concern);',
      to: `const early = ((globalThis as any).endedEarly ??= new Set());
  const isFirst = !early.has(sessionId);
  early.add(sessionId);
  core.contexts?.forgetAll();
  setTimeout(() => change(core, (trx) => endWithin(trx, core, sessionId, facts), concern).catch(() => {}), 300);
  return Promise.resolve(isFirst);`,
    },
    {
      file: 'core/authenticate.ts',
      from: 'row.ended_at === null &&',
      to: 'row.ended_at === null && !(globalThis as any).endedEarly?.has(row.id) &&',
    },
  ],
  /** SQLite hands its log to the system and does not wait for the disk. */
  'synchronous=FULL': [
    { file: 'store/sqlite-file.ts', from: "['synchronous', 'full', 2]", to: "['synchronous', 'off', 0]" },
  ],
  /** A query waits for its answer as long as it takes. */
  'query limit': [
    { file: 'store/postgres.ts', from: 'const queryLimitMs = 1000;', to: 'const queryLimitMs = 600_000;' },
    { file: 'store/postgres.ts', from: 'statement_timeout: 900,', to: 'statement_timeout: 0,' },
  ],
  /** A transaction waits for a place in the pool as long as it takes. */
  'pool limit': [
    { file: 'store/postgres.ts', from: 'const reserveLimitMs = 500;', to: 'const reserveLimitMs = 600_000;' },
    { file: 'store/postgres.ts', from: 'idle_in_transaction_session_timeout: 5000,', to: '' },
  ],
  /** Passwords are hashed by the process that answers. */
  'hashing in children': [
    {
      file: 'core/hash-lane.ts',
      from: 'admit(lane, { request, resolve, reject });',
      to: `if (request.kind === 'hash') admit(lane, { request, resolve, reject });
  else resolve(Bun.password.verifySync(request.password, request.stored) ? 'match' : 'mismatch');`,
    },
  ],
  /** SIGTERM ends the process as the system does by itself. */
  'graceful stop': [{ file: 'cli/serve.ts', from: "process.on('SIGTERM', onSignal);", to: '' }],
  /** Connections and bodies may be as slow as they like. */
  'connection limits': [
    { file: 'http/server.ts', from: 'const idleTimeoutSeconds = 20;', to: 'const idleTimeoutSeconds = 0;' },
    { file: 'http/server.ts', from: 'const answerDeadlineMs = 5_000;', to: 'const answerDeadlineMs = 600_000;' },
  ],
  /** The file is opened without being looked at. */
  'integrity check at start': [
    { file: 'store/soundness.ts', from: "if (store.engine === 'postgres') return;", to: 'return;' },
  ],
  /** A use that cannot be written down costs the check. */
  'reads without writes': [
    {
      file: 'core/authenticate.ts',
      from: 'const recorded = await core.uses.record(core, row.id, now);',
      to: "const recorded = await core.uses.record(core, row.id, now);\n  if (!recorded) throw new Error('not recorded');",
    },
  ],
  /** After a failed flush it goes on as if nothing had happened. */
  'broken after a failed flush': [
    { file: 'store/health.ts', from: 'else if (breaking.test(String(code))) breakDown(error);', to: '' },
  ],
  /** Nothing is given up when the disk is full. */
  'disk reserve': [{ file: 'store/health.ts', from: 'rmSync(reservePath(file), { force: true });', to: '' }],
  expiry: [{ file: 'core/authenticate.ts', from: 'expiryOf(row) > now &&', to: '' }],
  /** A token exchanged in what is now the future is within its grace. */
  'grace against a clock set back': [{ file: 'core/refresh.ts', from: 'sinceMs >= 0 &&', to: '' }],
  /** Sessions are remembered for ever, whoever ends them meanwhile. */
  'read through': [
    {
      file: 'core/authenticate.ts',
      from: 'if (row?.live_jti !== claims.jti',
      to: `const memory = ((globalThis as any).sessionMemory ??= new Map());
    row = memory.get(claims.sid) ?? row;
    memory.set(claims.sid, row);
    if (row?.live_jti !== claims.jti`,
    },
  ],
  /** What is remembered of a user outlives a change of the user. */
  'forgetting before the answer': [
    { file: 'core/change.ts', from: 'forget(core, concern);\n    return result;', to: 'return result;' },
  ],
  /** Commands beside the server change what it remembers, and it does not look. */
  'noticing foreign changes': [
    { file: 'core/contexts.ts', from: 'if (seen !== foreign || seen === -1) forgetAll();', to: '' },
  ],
  /** Each machine goes by its own clock. */
  'database clock': [
    { file: 'store/clock.ts', from: 'now: () => Math.floor(base + steadyMs()),', to: 'now: () => wallMs(),' },
  ],
  /** Whatever server answers at the address is believed. */
  'failover guard': [{ file: 'open-core.ts', from: 'if (create) await guardFailover(timed, store);', to: '' }],
  /** Whatever the former keys have signed is refused. */
  'former keys': [
    { file: 'core/tokens.ts', from: 'const former = keys.previous.some(', to: 'const former = [].some(' },
  ],
  /** Only what has signed before verifies: of servers that look at different moments one refuses what another signs first. */
  'next key': [
    {
      file: 'core/tokens.ts',
      from: 'return former || (keys.next !== null && isBy(keys.next));',
      to: 'return former;',
    },
    {
      file: 'signing-keys.ts',
      from: 'const lookEveryMs = 100;',
      to: 'const lookEveryMs = 20 + 180 * Math.random();',
    },
  ],
  /** A running server stays with the keys it was started with. */
  'following the key file': [{ file: 'signing-keys.ts', from: 'if (readStamp(path) === seen) return;', to: 'return;' }],
  /** Sessions of another epoch count. */
  'session epoch': [{ file: 'core/authenticate.ts', from: 'row.epoch === row.current_epoch &&', to: '' }],
  /** Whatever database is found is believed. */
  'noticing a database from the past': [
    {
      file: 'open-core.ts',
      from: 'const doubt = await findDoubt(store, place, form);',
      to: 'const doubt = null as any;',
    },
  ],
  /** Each statement of a migration is kept by itself. */
  'migration in one transaction': [
    {
      file: 'store/migrations/index.ts',
      from: 'await transact(store, async (trx) => {',
      to: 'await (async (trx: any) => {',
    },
    {
      file: 'store/migrations/index.ts',
      from: `.doUpdateSet({ value: String(currentSchema) }))
      .execute();
  });`,
      to: `.doUpdateSet({ value: String(currentSchema) }))
      .execute();
  })(store.db);`,
    },
  ],
  /** Several servers may migrate at once. */
  'migration lock': [
    {
      file: 'store/migrations/index.ts',
      from: "if (store.engine === 'postgres') await sql`select pg_advisory_xact_lock(620117, 1)`.execute(trx);",
      to: '',
    },
  ],
  /** A schema of the future passes for the present one. */
  'refusing a newer schema': [
    { file: 'store/migrations/index.ts', from: 'if (schema <= currentSchema) return;', to: 'return;' },
  ],
  /** Every request is kept for ever. */
  'letting go of requests': [
    {
      file: 'http/server.ts',
      from: 'return callEndpoint(house, endpoint, exchange);',
      to: '((globalThis as any).kept ??= []).push(exchange);\n  return callEndpoint(house, endpoint, exchange);',
    },
  ],
  /** What is in memory stays good after its end. */
  'expiry of what is in memory': [
    {
      file: 'core/contexts.ts',
      from: ' || nowSeconds >= entry.goodBefore) return undefined;',
      to: ') return undefined;',
    },
  ],
  /** A session is found by going through all of them. */
  'look-up by key': [
    {
      file: 'store/sessions.ts',
      from: "selectSession(db).where('sessions.id', '=', id));",
      to: "selectSession(db).where((where) => where(where.fn('lower', ['sessions.id']), '=', id)));",
    },
  ],
  /** All that ended long ago is deleted in one go. */
  'sweeping in small bites': [
    { file: 'core/sweep.ts', from: 'const biteRows = 100;', to: 'const biteRows = 10_000_000;' },
  ],
  /** No guard, but what a run cannot wait for. */
  'sweeping each minute': [{ file: 'app.ts', from: 'const sweepEveryMs = 60_000;', to: 'const sweepEveryMs = 3_000;' }],
  /** A body is read to its end, however long it says that it is. */
  'body limit': [
    { file: 'http/body.ts', from: "if (declared > limitBytes) throw new HttpFault('body_too_large');", to: '' },
  ],
  /** The data directory may lie anywhere. */
  'look at the file system': [{ file: 'app.ts', from: '  requireFileSystem(config, options.log);\n', to: '' }],
  /** No guard, but what stands in for a mount over a network: every directory is said to lie on one. */
  'local disk': [
    {
      file: 'store/file-system.ts',
      from: 'judgeFileSystem(statfsSync(directory).type,',
      to: 'judgeFileSystem(0x6969,',
    },
  ],
  /** Two servers may hold one directory. */
  'directory lock': [{ file: 'store/lock.ts', from: "db.run('begin exclusive');", to: '' }],
  /** A start waits for its database without an end. */
  'start limit': [{ file: 'open-core.ts', from: 'const storeLimitMs = 28_000;', to: 'const storeLimitMs = 600_000;' }],
} as const satisfies Record<string, readonly Patch[]>;

export type GuardName = keyof typeof guards;

/** The text without the guards. @throws Error when a guard does not stand in it exactly once: the patch would test nothing */
export function removeGuards(path: string, text: string, patches: readonly Patch[]): string {
  return patches.reduce((rest, { from, to }) => {
    const parts = rest.split(from);
    if (parts.length !== 2) throw new Error(`${path} does not have "${from}" exactly once`);
    return parts.join(to);
  }, text);
}

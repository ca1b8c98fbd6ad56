/** What a history is made of: what clients asked, what they were told, and when, on one monotonic clock in milliseconds. */

export type DoorName = 'rest' | 'web' | 'cookie' | 'soap' | 'appliance' | 'hybridity' | 'command';

/**
 * One request. Credentials appear by their labels (`t12`: the token that request 12 got), passwords and keys by the request that
 * set them, so that a history holds no secret.
 */
export type Action =
  | { readonly kind: 'login'; readonly user: string; readonly password: string; readonly door: DoorName }
  | { readonly kind: 'check'; readonly credential: string; readonly door: DoorName }
  | { readonly kind: 'refresh'; readonly credential: string }
  | { readonly kind: 'logout'; readonly credential: string; readonly door: DoorName }
  | { readonly kind: 'end_all'; readonly user: string; readonly door: DoorName }
  | {
      readonly kind: 'password';
      readonly user: string;
      /** The session that asks, and goes on. */
      readonly credential: string;
      readonly from: string;
      readonly to: string;
      readonly door: DoorName;
    }
  | { readonly kind: 'status'; readonly user: string; readonly to: 'Active' | 'Suspended' }
  | { readonly kind: 'level'; readonly user: string; readonly to: string }
  /** `to` is the label of the new key, or `none` when it is revoked. */
  | { readonly kind: 'key'; readonly user: string; readonly to: string; readonly door: DoorName }
  /** A wrong password on purpose. */
  | { readonly kind: 'guess'; readonly user: string; readonly door: DoorName };

/** What a success told. */
export type Result = {
  /** Label of the token that was given out. */
  readonly credential?: string;
  /** Whom the answer names, by the history's own name. */
  readonly user?: string;
  readonly level?: string;
};

/** `ok`: acknowledged. `fail`: refused, nothing happened. `unknown`: 503, time-out or a closed connection, either may be. */
export type Outcome = 'ok' | 'fail' | 'unknown';

export type Step = {
  readonly op: number;
  readonly action: Action;
  readonly from: number;
  /** When the answer came, or when the client gave up. */
  readonly to: number;
  readonly outcome: Outcome;
  /** 0 for no answer. */
  readonly status: number;
  readonly result: Result;
};

export type FaultWindow = { readonly name: string; readonly from: number; readonly to: number };

export type AuditEntry = { readonly op: number; readonly event: string };

export type History = {
  /** Every user with the level it has at the start; password `p0`, no key. */
  readonly users: Readonly<Record<string, string>>;
  readonly graceMs: number;
  readonly steps: readonly Step[];
  readonly faults: readonly FaultWindow[];
  /** Audit records of our requests; absent where the audit was not read. */
  readonly audit?: readonly AuditEntry[];
  /** The first audit event that does not fit its chain, or null. */
  readonly brokenAuditId?: number | null;
  /** Failed passwords that the store has counted at the end, by user, for users who never sign in. */
  readonly counted?: Readonly<Record<string, number>>;
};

export type Line =
  | {
      readonly phase: 'start';
      readonly users: Readonly<Record<string, string>>;
      readonly graceMs: number;
      seed: number;
    }
  | { readonly phase: 'invoke'; readonly op: number; readonly at: number; readonly client: number; action: Action }
  | {
      readonly phase: Outcome;
      readonly op: number;
      readonly at: number;
      readonly status: number;
      readonly result?: Result;
    }
  | { readonly phase: 'fault'; readonly name: string; readonly at: number }
  | { readonly phase: 'healed'; readonly name: string; readonly at: number }
  | {
      readonly phase: 'store';
      readonly audit: readonly AuditEntry[];
      readonly brokenAuditId: number | null;
      readonly counted: Readonly<Record<string, number>>;
    };

/** Puts the lines of a recorded history together; what was never answered is `unknown` until the last line's moment. */
export function readHistory(text: string): History {
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
  const start = lines.find((line) => line.phase === 'start');
  const store = lines.find((line) => line.phase === 'store');
  if (start === undefined) throw new Error('a history begins with its users');
  return {
    users: start.users,
    graceMs: start.graceMs,
    steps: stepsOf(lines),
    faults: windowsOf(lines),
    ...(store !== undefined && { audit: store.audit, brokenAuditId: store.brokenAuditId, counted: store.counted }),
  };
}

function stepsOf(lines: readonly Line[]): Step[] {
  const ends = new Map(lines.flatMap((line) => (isEnd(line) ? [[line.op, line] as const] : [])));
  const last = lines.reduce((latest, line) => ('at' in line ? Math.max(latest, line.at) : latest), 0);
  return lines.flatMap((line): Step[] => {
    if (line.phase !== 'invoke') return [];
    const end = ends.get(line.op);
    const { op, action, at: from } = line;
    if (end === undefined) return [{ op, action, from, to: last, outcome: 'unknown', status: 0, result: {} }];
    return [{ op, action, from, to: end.at, outcome: end.phase, status: end.status, result: end.result ?? {} }];
  });
}

function isEnd(line: Line): line is Extract<Line, { phase: Outcome }> {
  return line.phase === 'ok' || line.phase === 'fail' || line.phase === 'unknown';
}

function windowsOf(lines: readonly Line[]): FaultWindow[] {
  return lines.flatMap((line, index): FaultWindow[] => {
    if (line.phase !== 'fault') return [];
    const healed = lines.slice(index).find((later) => later.phase === 'healed' && later.name === line.name);
    const to = healed !== undefined && 'at' in healed ? healed.at : Number.POSITIVE_INFINITY;
    return [{ name: line.name, from: line.at, to }];
  });
}

import { describe, expect, test } from 'bun:test';
import { violations } from './check.ts';
import { type Action, type History, type Outcome, readHistory, type Result, type Step } from './history.ts';

type Rest = { readonly result?: Result; readonly status?: number; readonly outcome?: Outcome };

/** A step from one moment to another; acknowledged unless told otherwise. */
function step(op: number, from: number, to: number, action: Action, rest: Rest = {}): Step {
  const status = rest.status ?? (rest.outcome === 'unknown' ? 0 : 200);
  const outcome = rest.outcome ?? (status === 200 ? 'ok' : 'fail');
  return { op, from, to, action, outcome, status, result: rest.result ?? {} };
}

function history(steps: readonly Step[], more: Partial<History> = {}): History {
  return { users: { ann: 'MailboxUser', bob: 'MailboxUser' }, graceMs: 10_000, steps, faults: [], ...more };
}

function invariants(steps: readonly Step[], more?: Partial<History>): string[] {
  return violations(history(steps, more)).map(({ invariant }) => invariant);
}

const login = (op: number, from: number, to: number, rest: Rest = {}) =>
  step(
    op,
    from,
    to,
    { kind: 'login', user: 'ann', password: 'p0', door: 'rest' },
    { result: { credential: `t${op}`, user: 'ann' }, ...rest },
  );
const check = (op: number, from: number, to: number, rest: Rest = {}, credential = 't1') =>
  step(op, from, to, { kind: 'check', credential, door: 'web' }, rest);
const logout = (op: number, from: number, to: number, rest: Rest = {}) =>
  step(op, from, to, { kind: 'logout', credential: 't1', door: 'rest' }, rest);
const endAll = (op: number, from: number, to: number, rest: Rest = {}) =>
  step(op, from, to, { kind: 'end_all', user: 'ann', door: 'rest' }, rest);
const refresh = (op: number, from: number, to: number, rest: Rest = {}) =>
  step(op, from, to, { kind: 'refresh', credential: 't1' }, { result: { credential: `t${op}` }, ...rest });
const password = (op: number, from: number, to: number, rest: Rest = {}) =>
  step(op, from, to, { kind: 'password', user: 'ann', credential: 't1', from: 'p0', to: `p${op}`, door: 'rest' }, rest);
const key = (op: number, from: number, to: number) =>
  step(op, from, to, { kind: 'key', user: 'ann', to: `k${op}`, door: 'rest' }, { result: { credential: `k${op}` } });
const refused = { status: 401 };
const silence = { outcome: 'unknown' } as const;

describe('the judge of histories', () => {
  const bad: [invariant: string, what: string, steps: readonly Step[], more?: Partial<History>][] = [
    ['I1', 'a login that was acknowledged and is gone', [login(1, 0, 10), check(2, 20, 30, refused)]],
    ['I1', 'a successor that is gone', [login(1, 0, 10), refresh(2, 20, 30), check(3, 40, 50, refused, 't2')]],
    ['I1', 'a live token that is not exchanged', [login(1, 0, 10), refresh(2, 20, 30, refused)]],
    ['I1', 'a key that is gone', [key(1, 0, 10), check(2, 20, 30, refused, 'k1')]],
    ['I2', 'a session that lives after its logout', [login(1, 0, 10), logout(2, 20, 30), check(3, 31, 40)]],
    ['I2', 'a token that lives after its exchange', [login(1, 0, 10), refresh(2, 20, 30), check(3, 31, 40)]],
    ['I2', 'a token that is exchanged after its logout', [login(1, 0, 10), logout(2, 20, 30), refresh(3, 40, 50)]],
    ['I2', 'a password that works after it was changed', [login(1, 0, 10), password(2, 20, 30), login(3, 40, 50)]],
    [
      'I2',
      'a key that works after another took its place',
      [key(1, 0, 10), key(2, 20, 30), check(3, 40, 50, {}, 'k1')],
    ],
    [
      'I2',
      'a sign-in of a disabled user',
      [step(1, 0, 10, { kind: 'status', user: 'ann', to: 'Suspended' }), login(2, 20, 30)],
    ],
    ['I3', 'a credential that nobody gave out', [check(1, 0, 10, {}, 't9')]],
    ['I3', 'a session taken for somebody else', [login(1, 0, 10), check(2, 20, 30, { result: { user: 'bob' } })]],
    [
      'I3',
      'rights that were withdrawn',
      [
        step(1, 0, 10, { kind: 'level', user: 'ann', to: 'MailboxAdmin' }),
        step(2, 20, 30, { kind: 'level', user: 'ann', to: 'MailboxUser' }),
        login(3, 40, 50),
        check(4, 60, 70, { result: { user: 'ann', level: 'MailboxAdmin' } }, 't3'),
      ],
    ],
    ['I3', 'a token that two logins got', [login(1, 0, 10), login(2, 20, 30, { result: { credential: 't1' } })]],
    ['I3', 'a wrong password that signs in', [step(1, 0, 10, { kind: 'guess', user: 'ann', door: 'web' })]],
    ['I4', 'two successors of one token', [login(1, 0, 10), refresh(2, 20, 30), refresh(3, 20, 31)]],
    [
      'I4',
      'the successor again after the grace',
      [login(1, 0, 10), refresh(2, 20, 30), refresh(3, 15_000, 15_010, { result: { credential: 't2' } })],
    ],
    ['I4', 'a refusal within the grace', [login(1, 0, 10), refresh(2, 20, 30), refresh(3, 40, 50, refused)]],
    ['I5', 'a login under way when all were ended', [login(1, 0, 400), endAll(2, 300, 350), check(3, 500, 510)]],
    ['I6', 'a right password refused', [login(1, 0, 10, refused)]],
    ['I6', 'silence without a fault', [login(1, 0, 10), check(2, 20, 30, silence)]],
    ['I6', 'an error that is no 503', [login(1, 0, 10), check(2, 20, 30, { status: 403 })]],
    [
      'I6',
      'a wrong refusal during a fault',
      [login(1, 0, 10), logout(2, 40, 50, { status: 404 })],
      { faults: [{ name: 'pause', from: 20, to: 60 }] },
    ],
    [
      'I6',
      'nothing works after healing',
      [login(1, 0, 10), check(2, 100, 120, silence), check(3, 3000, 3010, silence)],
      { faults: [{ name: 'pause', from: 20, to: 60 }] },
    ],
    ['I7', 'a change without a record', [login(1, 0, 10)], { audit: [] }],
    [
      'I7',
      'a refused change with a record',
      [logout(1, 0, 10, refused)],
      { audit: [{ op: 1, event: 'session.ended' }] },
    ],
    [
      'I7',
      'a refused sign-in with a record, while nobody ended anything',
      [endAll(1, 0, 10), login(2, 20, 30, refused)],
      {
        audit: [
          { op: 1, event: 'user.reset' },
          { op: 2, event: 'login.succeeded' },
        ],
      },
    ],
    [
      'I7',
      'a change written down twice',
      [login(1, 0, 10)],
      { audit: [1, 1].map((op) => ({ op, event: 'login.succeeded' })) },
    ],
    ['I7', 'a chain that does not fit', [], { audit: [], brokenAuditId: 7 }],
    [
      'I8',
      'a wrong password that was not counted',
      [1, 2].map((op) => step(op, op, op + 1, { kind: 'guess', user: 'bob', door: 'rest' }, refused)),
      { counted: { bob: 1 } },
    ],
  ];
  test.each(bad.map(([invariant, what, ...rest]) => [invariant, what, rest] as const))(
    '%s: rejects %s',
    (invariant, _what, [steps, more]) => {
      expect(invariants(steps, more)).toContain(invariant);
    },
  );

  const good: [what: string, steps: readonly Step[], more?: Partial<History>][] = [
    [
      'a session from login to logout',
      [login(1, 0, 10), check(2, 11, 20), logout(3, 30, 40), check(4, 41, 50, refused)],
    ],
    [
      'a sign-in that came too late, and was written down',
      [login(1, 0, 10, refused), endAll(2, 5, 8)],
      {
        audit: [
          { op: 1, event: 'login.succeeded' },
          { op: 2, event: 'user.reset' },
        ],
      },
    ],
    [
      'either answer beside a logout',
      [login(1, 0, 10), logout(2, 20, 40), check(3, 25, 35), check(4, 25, 35, refused)],
    ],
    [
      'a logout of which nothing is known',
      [login(1, 0, 10), logout(2, 20, 30, silence), check(3, 40, 50), check(4, 60, 70, refused)],
      { faults: [{ name: 'kill', from: 20, to: 30 }] },
    ],
    [
      'one successor within the grace',
      [login(1, 0, 10), refresh(2, 20, 30), refresh(3, 40, 50, { result: { credential: 't2' } })],
    ],
    [
      'a session ended by a spent token',
      [
        login(1, 0, 10),
        refresh(2, 20, 30),
        refresh(3, 20_000, 20_010, refused),
        check(4, 20_020, 20_030, refused, 't2'),
      ],
    ],
    ['the password’s own session goes on', [login(1, 0, 10), password(2, 20, 30), check(3, 40, 50)]],
    [
      'a login of which nothing is known',
      [login(1, 0, 10, { ...silence, status: 503 })],
      { audit: [{ op: 1, event: 'login.succeeded' }] },
    ],
    [
      'silence during a fault',
      [login(1, 0, 10), check(2, 30, 40, silence), check(3, 70, 80)],
      { faults: [{ name: 'pause', from: 20, to: 60 }] },
    ],
  ];
  test.each(good.map(([what, ...rest]) => [what, rest] as const))('accepts %s', (_what, [steps, more]) => {
    expect(violations(history(steps, more))).toEqual([]);
  });

  test('puts a recorded history together; what was never answered is unknown', () => {
    const lines = [
      { phase: 'start', users: { ann: 'MailboxUser' }, graceMs: 2000, seed: 1 },
      { phase: 'invoke', op: 1, at: 5, client: 1, action: { kind: 'refresh', credential: 't9' } },
      { phase: 'invoke', op: 2, at: 6, client: 2, action: { kind: 'refresh', credential: 't8' } },
      { phase: 'fault', name: 'kill', at: 7 },
      { phase: 'ok', op: 2, at: 8, status: 200, result: { credential: 't2' } },
      { phase: 'healed', name: 'kill', at: 9 },
    ];
    const { steps, faults } = readHistory(lines.map((line) => JSON.stringify(line)).join('\n'));
    expect(steps.map(({ op, from, to, outcome }) => ({ op, from, to, outcome }))).toEqual([
      { op: 1, from: 5, to: 9, outcome: 'unknown' },
      { op: 2, from: 6, to: 8, outcome: 'ok' },
    ]);
    expect(faults).toEqual([{ name: 'kill', from: 7, to: 9 }]);
  });
});

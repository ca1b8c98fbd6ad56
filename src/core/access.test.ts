import { describe, expect, test } from 'bun:test';
import {
  type AuthLevel,
  authLevels,
  mayAdminister,
  mayAdministerOthers,
  mayRead,
  type Rights,
  readableUsers,
} from './access.ts';

/** Where a target stands to the caller, who is user 1 of network 10 and mailbox 100. */
const relations = {
  self: { id: 1, organizationId: 10, mailboxId: 100 },
  'same mailbox': { id: 2, organizationId: 10, mailboxId: 100 },
  'same network': { id: 3, organizationId: 10, mailboxId: 101 },
  'same network, no mailbox': { id: 4, organizationId: 10, mailboxId: null },
  'other network': { id: 5, organizationId: 20, mailboxId: 200 },
  'no network': { id: 6, organizationId: null, mailboxId: null },
} as const;
type Relation = keyof typeof relations;
const relationNames = Object.keys(relations) as Relation[];

function caller(authLevel: AuthLevel): Rights {
  return { ...relations.self, authLevel };
}

function target(relation: Relation, authLevel: AuthLevel): Rights {
  return { ...relations[relation], authLevel };
}

/** READ of the ECGrid contract, 8.2, in the order of `relations`. */
const reading: [level: AuthLevel, row: string][] = [
  ['Root', 'yes yes yes yes yes yes'],
  ['TechOps', 'yes yes yes yes yes yes'],
  ['NetOps', 'yes yes yes yes yes yes'],
  ['NetworkAdmin', 'yes yes yes yes no no'],
  ['NetworkUser', 'yes yes yes yes no no'],
  ['MailboxAdmin', 'yes yes no no no no'],
  ['MailboxUser', 'yes no no no no no'],
  ['TPUser', 'yes no no no no no'],
  ['General', 'yes no no no no no'],
];

/** ADMIN of 8.2 for targets in the caller's network; outside of it the first three rows alone stay. Columns: target's level, high to low. */
const administering: [level: AuthLevel, row: string][] = [
  ['Root', 'yes yes yes yes yes yes yes yes yes'],
  ['TechOps', 'no yes yes yes yes yes yes yes yes'],
  ['NetOps', 'no no yes yes yes yes yes yes yes'],
  ['NetworkAdmin', 'no no no yes yes yes yes yes yes'],
  ['NetworkUser', 'no no no no no no no no no'],
  ['MailboxAdmin', 'no no no no no no no no no'],
  ['MailboxUser', 'no no no no no no no no no'],
  ['TPUser', 'no no no no no no no no no'],
  ['General', 'no no no no no no no no no'],
];
const wide: readonly AuthLevel[] = ['Root', 'TechOps', 'NetOps'];

function print(answers: readonly boolean[]): string {
  return answers.map((answer) => (answer ? 'yes' : 'no')).join(' ');
}

describe('AUZ-01: rights', () => {
  test('there are nine levels, and both tables name them all in their order', () => {
    expect(authLevels).toHaveLength(9);
    for (const table of [reading, administering]) expect(table.map(([level]) => level)).toEqual([...authLevels]);
  });

  test.each(reading)('READ: %s', (level, row) => {
    for (const targetLevel of authLevels) {
      expect(print(relationNames.map((relation) => mayRead(caller(level), target(relation, targetLevel))))).toBe(row);
    }
  });

  test.each(administering)('ADMIN: %s', (level, row) => {
    for (const relation of ['same mailbox', 'same network', 'same network, no mailbox'] as const) {
      expect(print(authLevels.map((other) => mayAdminister(caller(level), target(relation, other))))).toBe(row);
    }
    const outside = wide.includes(level) ? row : 'no no no no no no no no no';
    for (const relation of ['other network', 'no network'] as const) {
      expect(print(authLevels.map((other) => mayAdminister(caller(level), target(relation, other))))).toBe(outside);
    }
  });

  test('no network and no mailbox are never "the same"', () => {
    const nowhere = (id: number, authLevel: AuthLevel): Rights => ({
      id,
      organizationId: null,
      mailboxId: null,
      authLevel,
    });
    for (const level of authLevels) {
      const may = mayRead(nowhere(1, level), nowhere(2, 'General'));
      expect(may).toBe(wide.includes(level));
      expect(mayAdminister(nowhere(1, level), nowhere(2, 'General'))).toBe(wide.includes(level));
      expect(mayRead(nowhere(1, level), nowhere(1, level))).toBe(true);
    }
    const admin: Rights = { id: 1, organizationId: 10, mailboxId: null, authLevel: 'MailboxAdmin' };
    expect(mayRead(admin, { ...admin, id: 2, authLevel: 'General' })).toBe(false);
  });

  test('from NetworkAdmin up one may administer others; below, ids are refused without a look', () => {
    expect(print(authLevels.map((level) => mayAdministerOthers(caller(level))))).toBe('yes yes yes yes no no no no no');
  });

  test('what a list shows is exactly what may be read', () => {
    for (const level of authLevels) {
      const reach = readableUsers(caller(level));
      const shown = relationNames.map((relation) => {
        const { id, organizationId, mailboxId } = relations[relation];
        if (reach === 'all' || id === reach.userId) return true;
        if (reach.organizationId === undefined || organizationId !== reach.organizationId) return false;
        return reach.mailboxId === undefined || mailboxId === reach.mailboxId;
      });
      expect([level, print(shown)]).toEqual(reading.find(([name]) => name === level) ?? []);
    }
  });
});

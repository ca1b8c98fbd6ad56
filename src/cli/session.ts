import type { Command } from 'commander';
import { endAll, endOne, listSessions, type SessionSummary } from '../core/index.ts';
import { printInstant, printJson, printLine, printTable } from './output.ts';
import { changeWithCore, localCaller, requireUser, UsageError, withCore } from './with-core.ts';

type JsonFlag = { readonly json?: boolean };
type ListFlags = JsonFlag & { readonly user?: string; readonly all?: boolean };

export function addSessionCommands(program: Command): void {
  const session = program.command('session').description('sessions: list, end');
  session
    .command('list')
    .description('list live sessions, newest first (the 200 newest)')
    .option('--user <user>', "only this user's (login or id)")
    .option('--all', 'ended ones too, while they are kept (24 h)')
    .option('--json', 'print JSON')
    .action(list);
  session
    .command('end [id]')
    // One id in 64 begins like an option; what is neither is one argument too many.
    .allowUnknownOption()
    .allowExcessArguments(false)
    .description('end one session, or with --user all sessions of a user; refused everywhere from then on')
    // One id in 64 begins like an option.
    .allowUnknownOption()
    .helpOption('--help', 'display help for command')
    .option('--user <user>', 'all sessions of this user (login or id)')
    .option('--json', 'print JSON')
    .action(end);
}

async function list(flags: ListFlags): Promise<void> {
  const sessions = await withCore(async (core) => {
    const query = flags.user === undefined ? {} : { userId: (await requireUser(core, flags.user)).id };
    return listSessions(core, { ...query, liveOnly: flags.all !== true });
  });
  if (flags.json === true) return printJson(sessions);
  if (sessions.length === 0)
    return printLine(flags.all === true ? 'There are no sessions.' : 'There are no live sessions.');
  const headings = ['SESSION', 'USER', 'OPENED BY', 'OPENED', 'EXPIRES', 'STATE', 'ADDRESS'];
  printTable(headings, sessions.map(toCells));
}

function toCells(session: SessionSummary): string[] {
  return [
    session.id,
    `${session.userId} ${session.login}`,
    session.entry,
    printInstant(session.createdAt),
    printInstant(session.expiresAt),
    session.live ? 'live' : 'ended',
    session.address,
  ];
}

async function end(id: string | undefined, flags: JsonFlag & { readonly user?: string }): Promise<void> {
  if ((id === undefined) === (flags.user === undefined)) {
    throw new UsageError('Name one session id, or --user with a login or id; "cardea session list" shows them.');
  }
  const ended = await changeWithCore(async (core) => {
    if (flags.user === undefined)
      return (await endOne(core, id ?? '', { actorId: null, caller: localCaller() })) ? 1 : 0;
    return endAll(core, 'system', (await requireUser(core, flags.user)).id, localCaller());
  });
  if (ended === 0 && id !== undefined) throw new UsageError('There is no live session with this id.');
  if (flags.json === true) return printJson({ ended });
  printLine(`Ended ${ended} session${ended === 1 ? '' : 's'}.`);
}

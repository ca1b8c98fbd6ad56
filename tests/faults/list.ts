import { databaseFaults } from './database.ts';
import type { Fault } from './fault.ts';
import { killFaults } from './kill.ts';
import { powerFaults } from './power.ts';

/** The fault plan, in its order. */
export const faults: readonly Fault[] = [...killFaults, ...powerFaults, ...databaseFaults].sort((one, other) =>
  one.id.localeCompare(other.id),
);

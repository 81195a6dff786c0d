/** The structural rules and the fold (proto/README.md part 3). */
import { refuse } from './forms.mjs';
import { names, verifyNote } from './note.mjs';
import { sha256 } from './tree.mjs';

/** The states; a state is stored as its position here. */
export const STATES = ['pending', 'confirmed', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'];

const [PENDING, CONFIRMED, EXPIRED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN] = STATES.keys();

/** The next state by kind and present state, in the order of STATES. */
const NEXT = {
  delivered: [CONFIRMED, CONFIRMED, CONFIRMED, CONFIRMED, CONFIRMED, CONFIRMED, FORGOTTEN],
  lostWhileOpen: [PENDING, PENDING, EXPIRED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  lostWhileClosed: [PENDING, EXPIRED, EXPIRED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  waived: [WAIVED, CONFIRMED, WAIVED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  released: [PENDING, RELEASED, EXPIRED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  closed: [EXPIRED, CONFIRMED, EXPIRED, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  extended: [PENDING, CONFIRMED, PENDING, WAIVED, RELEASED, WITHDRAWN, FORGOTTEN],
  withdrawn: [WITHDRAWN, CONFIRMED, WITHDRAWN, WITHDRAWN, RELEASED, WITHDRAWN, FORGOTTEN],
  forgotten: [FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN],
};

/**
 * Finds the row of the table of 3.2 that an entry applies.
 * @param {string} kind the entry's kind
 * @param {boolean} open whether the manifest is open
 * @returns {number[] | undefined} the next state by present state; undefined changes nothing
 */
export function transition(kind, open) {
  if (kind === 'lost') return open ? NEXT.lostWhileOpen : NEXT.lostWhileClosed;
  return NEXT[kind];
}

/**
 * Checks the reasons KEY and SIGNATURE of an entry.
 * @param {import('./entry.mjs').Entry} entry the entry
 * @param {import('./note.mjs').Verifier | null} serverKey the server's current key, null before genesis
 * @param {import('./note.mjs').Verifier | null} agentKey the agent's key last assigned
 */
export function checkSignatures(entry, serverKey, agentKey) {
  if (entry.receipt && agentKey === null) refuse('KEY', 'a receipt where no agent key is assigned');
  const first = entry.receipt ? agentKey : entry.kind === 'genesis' ? entry.values['server-key'] : serverKey;
  if (!names(entry.note.signatures[0], first)) refuse('KEY', `signed by another key than ${first.name} with ID ${first.id}`);
  if (entry.kind === 'rekeyed' && entry.values['old-key'].text !== serverKey.text) {
    refuse('KEY', 'old-key is not the current key of the server');
  }
  verifyNote(entry.note, entry.kind === 'rekeyed' ? [first, entry.values['new-key']] : [first]);
  if (entry.request !== undefined) verifyNote(entry.request.note, [entry.request.agentKey]);
}

/**
 * Checks the reasons ROOT and INDEX of an entry that names a sealed manifest.
 * @param {import('./entry.mjs').Entry} entry the entry
 * @param {{root: string, items: number}} manifest the manifest
 */
export function checkNamed(entry, manifest) {
  const { root, indexes } = entry.values;
  if (root !== manifest.root) refuse('ROOT', 'another root than the one sealed');
  if (indexes !== undefined && indexes.at(-1)[1] >= manifest.items) {
    refuse('INDEX', `index ${indexes.at(-1)[1]} in a manifest of ${manifest.items} items`);
  }
}

/**
 * Checks the reason DEADLINE of an entry.
 * @param {import('./entry.mjs').Entry} entry the entry
 * @param {{deadline: string}} manifest the manifest that it names
 */
export function checkDeadline(entry, manifest) {
  if (entry.kind === 'extended' && entry.values.deadline <= manifest.deadline) {
    refuse('DEADLINE', `${entry.values.deadline} is not later than ${manifest.deadline}`);
  }
}

/**
 * @typedef {object} Manifest a manifest as the fold knows it
 * @property {string} root its sealed root
 * @property {number} items its number of items
 * @property {number} bytes the sum of their sizes
 * @property {string} night the night that it covers
 * @property {string} deadline its current deadline
 * @property {boolean} open whether it is open
 * @property {Uint8Array} states the state of every item
 * @property {number[]} counts how many items are in each state
 */

/** The state that entries add up to. */
export class Fold {
  /** Makes the state of the empty ledger. */
  constructor() {
    this.size = 0;
    this.origin = '';
    this.serverKey = null;
    this.genesisKey = null;
    this.agentKey = null;
    /** @type {Array<{entry: number, key: import('./note.mjs').Verifier}>} every assignment of an agent key */
    this.assignments = [];
    /** @type {Map<string, {number: number, hash: string | null}>} the last receipt by key */
    this.chains = new Map();
    /** @type {Manifest[]} the manifests; number N is at N-1 */
    this.manifests = [];
    this.retired = false;
    /** @type {number | null} the manifest that must be sealed next */
    this.replacement = null;
    /** @type {Array<{entry: number, code: string, message: string}>} */
    this.alarms = [];
  }

  /**
   * Checks the next entry and applies it. A refused entry changes nothing.
   * @param {import('./entry.mjs').Entry} entry the entry
   * @param {Buffer} leaf its exact bytes
   */
  append(entry, leaf) {
    this.#checkPlace(entry);
    checkSignatures(entry, this.serverKey, this.agentKey);
    this.#checkManifest(entry);
    this.#apply(entry, leaf);
    this.size += 1;
  }

  /**
   * Checks the reasons ORIGIN to REPLACEMENT.
   * @param {import('./entry.mjs').Entry} entry the entry
   */
  #checkPlace(entry) {
    const { kind, values } = entry;
    const isFirst = this.size === 0;
    const origin = isFirst ? entry.origin : this.origin;
    if (entry.origin !== origin) refuse('ORIGIN', `not the origin of the log, ${origin}`);
    if (isFirst !== (kind === 'genesis')) refuse('GENESIS', isFirst ? `the first entry is ${kind}` : 'a genesis that is not the first entry');
    if (this.retired && kind !== 'rekeyed') refuse('RETIRED', `${kind} after retired`);
    if (this.replacement !== null && !(kind === 'sealed' && values.manifest === this.replacement)) {
      refuse('REPLACEMENT', `${kind} where the replacement, manifest ${this.replacement}, must be sealed`);
    }
    if (kind === 'withdrawn' && values.replacement !== null && values.replacement !== this.manifests.length + 1) {
      refuse('REPLACEMENT', `the replacement ${values.replacement} is not the next manifest, ${this.manifests.length + 1}`);
    }
  }

  /**
   * Checks the reasons MANIFEST to DEADLINE.
   * @param {import('./entry.mjs').Entry} entry the entry
   */
  #checkManifest(entry) {
    const { kind, values } = entry;
    if (values.manifest === undefined) return;
    if (kind === 'sealed') {
      if (values.manifest !== this.manifests.length + 1) refuse('MANIFEST', `seals ${values.manifest} after ${this.manifests.length}`);
      return;
    }
    const manifest = this.manifests[values.manifest - 1];
    if (manifest === undefined) return refuse('MANIFEST', `manifest ${values.manifest} is not sealed`);
    checkNamed(entry, manifest);
    if (entry.receipt) {
      const last = this.chains.get(this.agentKey.text);
      if (values.number !== last.number + 1) refuse('CHAIN', `receipt number ${values.number} after ${last.number}`);
      if (values.previous !== last.hash) refuse('CHAIN', 'previous is not the hash of the receipt before');
    }
    checkDeadline(entry, manifest);
  }

  /**
   * Applies an entry that was checked.
   * @param {import('./entry.mjs').Entry} entry the entry
   * @param {Buffer} leaf its exact bytes
   */
  #apply(entry, leaf) {
    const { kind, values } = entry;
    this.replacement = null;
    if (kind === 'genesis') {
      this.origin = entry.origin;
      this.genesisKey = values['server-key'];
      this.serverKey = values['server-key'];
    } else if (kind === 'rekeyed') {
      this.serverKey = values['new-key'];
    } else if (kind === 'assigned') {
      this.agentKey = entry.request.agentKey;
      this.assignments.push({ entry: this.size, key: this.agentKey });
      if (!this.chains.has(this.agentKey.text)) this.chains.set(this.agentKey.text, { number: 0, hash: null });
    } else if (kind === 'retired') {
      this.retired = true;
    } else if (kind === 'sealed') {
      const { root, items, bytes, night, deadline } = values;
      const counts = STATES.map((_, state) => (state === PENDING ? items : 0));
      this.manifests.push({ root, items, bytes, night, deadline, open: true, states: new Uint8Array(items), counts });
    } else {
      this.#applyToItems(entry, this.manifests[values.manifest - 1]);
      if (kind === 'withdrawn') this.replacement = values.replacement;
      if (entry.receipt) this.chains.set(this.agentKey.text, { number: values.number, hash: sha256(leaf).toString('hex') });
    }
  }

  /**
   * Applies an entry to the items that it names.
   * @param {import('./entry.mjs').Entry} entry the entry
   * @param {Manifest} manifest its manifest
   */
  #applyToItems(entry, manifest) {
    const { kind, values } = entry;
    const next = transition(kind, manifest.open);
    if (next !== undefined) {
      const { states, counts } = manifest;
      for (const [first, last] of values.indexes ?? [[0, manifest.items - 1]]) {
        for (let i = first; i <= last; i += 1) {
          const before = states[i];
          const after = next[before];
          states[i] = after;
          counts[before] -= 1;
          counts[after] += 1;
        }
      }
    }
    if (kind === 'closed') {
      manifest.open = false;
      this.#compareCounts(values, manifest);
    } else if (kind === 'extended') {
      manifest.open = true;
      manifest.deadline = values.deadline;
    }
  }

  /**
   * Raises the alarm COUNTS where a `closed` says other counts than the fold's.
   * @param {Record<string, any>} values the values of the `closed`
   * @param {Manifest} manifest its manifest
   */
  #compareCounts(values, manifest) {
    const different = STATES.flatMap((name, state) => (state === PENDING || values[name] === manifest.counts[state]
      ? [] : [`${name} ${values[name]}, not ${manifest.counts[state]}`]));
    if (different.length > 0) {
      this.alarms.push({ entry: this.size, code: 'COUNTS', message: `manifest ${values.manifest}: closed says ${different.join('; ')}` });
    }
  }
}

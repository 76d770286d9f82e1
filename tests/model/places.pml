/* The places algorithm of shm/places.c: processes that take and give back, each of which may be killed before
 * any of its steps, and a master that recovers what the dead one held and starts it again.
 *
 * The names are those of the C source. A load, a store and a compare-and-swap is a step each; what the C source
 * writes with one instruction is one d_step here. `owns` is not in memory: it says who really has a place,
 * changed in the same step as the word. Checked is:
 *   - a place is never given back twice, nor kept after its holder's recovery (no leak);
 *   - the word never counts more than LIMIT, and counts exactly the places that are owned;
 *   - at the end, it counts what the lines say they hold.
 * With NO_HELP (the changer of a word doesn't note its last operation as done) or DONE_FIRST (recovery looks at
 * place_done before the word) the model must fail: run-model checks that too. */
#ifndef N
#define N 3
#endif
#ifndef WORDS
#define WORDS 2
#endif
#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define MASTER N

mtype = { NONE, TAKE, GIVE };

typedef word { byte count; byte owner; byte seq };
typedef line { byte place_seq; byte place_done; mtype op; byte op_word; byte op_seq; byte held };

word words[WORDS];
line lines[N + 1];
byte owns[N];   /* word + 1 */
byte ops[N];    /* used up, so that the model ends */
bool kill[N], dead[N], over;

/* the word as it was loaded: c, o, q */
inline load(w) { d_step { c = words[w].count; o = words[w].owner; q = words[w].seq } }

inline help() {
#ifdef NO_HELP
	skip
#else
	if
	:: o > 0 -> d_step {
		if
		:: lines[o - 1].place_done < q -> lines[o - 1].place_done = q
		:: else
		fi }
	:: else
	fi
#endif
}

/* one compare-and-swap by line `me` that gives a place to process `p`, or takes its place away */
inline swap(w, me, to_count, p, to_owns) {
	d_step {
		if
		:: words[w].count == c && words[w].owner == o && words[w].seq == q ->
			words[w].count = to_count;
			words[w].owner = me + 1;
			words[w].seq = lines[me].place_seq;
			assert(owns[p] == (to_owns -> 0 : w + 1));
			owns[p] = to_owns;
			swapped = true
		:: else -> swapped = false
		fi
	}
}

inline announce(me, what, w) {
	lines[me].place_seq++;
	d_step { lines[me].op = what; lines[me].op_word = w; lines[me].op_seq = lines[me].place_seq }
}

inline places_take(w) {
	announce(i, TAKE, w);
	do
	:: load(w);
	   if
	   :: c >= LIMIT -> break
	   :: else
	   fi;
	   help();
	   swap(w, i, c + 1, i, w + 1);
	   if
	   :: swapped -> lines[i].held = w + 1; break
	   :: else
	   fi
	od;
	lines[i].op = NONE
}

inline places_give(me, p, w) {
	announce(me, GIVE, w);
	do
	:: load(w);
	   assert(c > 0);
	   help();
	   swap(w, me, c - 1, p, 0);
	   if
	   :: swapped -> break
	   :: else
	   fi
	od
}

proctype process(byte i)
{
	byte c, o, q;
	bool swapped;
life:
	{
		do
		:: ops[i] < OPS && lines[i].held == 0 -> ops[i]++; places_take(0)
		:: WORDS > 1 && ops[i] < OPS && lines[i].held == 0 -> ops[i]++; places_take(WORDS - 1)
		:: ops[i] < OPS && lines[i].held != 0 ->
			ops[i]++;
			places_give(i, i, lines[i].held - 1);
			lines[i].held = 0;
			lines[i].op = NONE
		:: ops[i] == OPS -> break
		od;
		over
	} unless { kill[i] };
	if
	:: kill[i] -> dead[i] = true; !kill[i]; dead[i] = false; goto life
	:: else
	fi
}

inline happened_by_word(p) {
	d_step { happened = happened ||
		(words[lines[p].op_word].owner == p + 1 && words[lines[p].op_word].seq == lines[p].op_seq) }
}
inline happened_by_done(p) { happened = happened || lines[p].place_done >= lines[p].op_seq }

inline places_recover(p) {
	if
	:: lines[p].op != NONE ->
		happened = false;
#ifdef DONE_FIRST
		happened_by_done(p);
		happened_by_word(p);
#else
		happened_by_word(p);
		happened_by_done(p);
#endif
		if
		:: happened && lines[p].op == TAKE -> lines[p].held = lines[p].op_word + 1
		:: happened && lines[p].op == GIVE -> lines[p].held = 0
		:: else
		fi;
		lines[p].op = NONE
	:: else
	fi;
	if
	:: lines[p].held != 0 -> places_give(MASTER, p, lines[p].held - 1); lines[p].held = 0
	:: else
	fi;
	assert(owns[p] == 0)
}

proctype master()
{
	byte c, o, q, p, kills;
	bool swapped, happened;

	do
	:: kills < KILLS ->
		kills++;
		select(p : 0 .. N - 1);
		kill[p] = true;
		dead[p];
		places_recover(p);
		kill[p] = false;
		!dead[p]
	:: break
	od;
	over = true
}

#define OWNED(p, w) (owns[p] == (w) + 1)
#define HELD(p, w) (lines[p].held == (w) + 1)

init {
	byte w, p, n, m;

	atomic {
		d_step {
			for (p : 0 .. N) { lines[p].op = NONE }
		}
		for (p : 0 .. N - 1) { run process(p) }
		run master()
	}
	_nr_pr == 1; /* all have ended */
	d_step {
		for (w : 0 .. WORDS - 1) {
			n = 0;
			m = 0;
			for (p : 0 .. N - 1) {
				n = n + OWNED(p, w);
				m = m + HELD(p, w)
			}
			assert(words[w].count <= LIMIT);
			assert(words[w].count == n && n == m)
		}
	}
}

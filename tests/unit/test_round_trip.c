/* Round trips of random requests: what one vendor's writer says, the same vendor's reader understands, and
 * nothing is lost on the way but what stands in the tables of round_trip.h.
 *
 *   requests        neutral → A's body (provider) → neutral (A's callers' dialect)
 *   two vendors     the same through A, B and A again */
#include "round_trip.h"

/* ---- passages */

/* From the neutral form to a vendor's body and back. */
struct passage {
    struct translation out, in;
    uint32_t lost; /* bits of parameters that were not honoured, or otherwise */
};

/* NULL: refused, *why. */
static const struct chat_request *pass(struct passage *p, const struct vendor *v,
                                       const struct chat_request *c, struct str *why)
{
    struct error err;
    translation_init(&p->out, EP_CHAT, v->type);
    translation_init(&p->in, v->endpoint, v->type);
    p->out.r.target_model = p->in.r.model = str_of(v->model);
    if (p->out.provider->write_chat(translation_call(&p->out, c, v->model)) != 0)
        return *why = p->out.f.message, NULL;
    uint32_t given = 0;
    for (unsigned i = 0; i < CHAT_PARAMS; i++)
        given |= c->params[i].name ? UINT32_C(1) << i : 0;
    p->lost = (given & ~p->out.call.taken) | p->out.call.adjusted | (v->added & ~given);
    p->in.r.body = p->out.out.body;
    if (json_validate(p->in.r.body, &err) != 0)
        return *why = arena_printf(&p->out.arena, "the body is no JSON: %s", err.text), NULL;
    if (chat_read(&p->in.r, &p->in.f) != 0)
        return *why = p->in.f.message, NULL;
    return p->in.r.chat;
}

static void passage_fini(struct passage *p)
{
    translation_fini(&p->out);
    translation_fini(&p->in);
}

/* ---- requests */

static const enum chat_signer signers[] = {SIGNER_NONE, SIGNER_ANTHROPIC, SIGNER_GOOGLE};

static bool request_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct vendor *v = arg;
    struct arena a;
    struct passage p;
    struct str why = STR_NULL;
    arena_init(&a);
    struct dice d = {seed, &a, size};
    const struct chat_request *c = make_request(&d, signers[roll(&d, 3)], v->refused),
                              *back = pass(&p, v, c, &why);
    tell(r, v->name, p.out.out.body);
    bool ok = back != NULL;
    if (!ok)
        tell(r, "refused", why);
    else
        ok = same(r, text_of_request(forget(c, v->request_losses, v->signer, &a), p.lost, &a),
                  text_of_request(forget(back, v->request_losses, v->signer, &a), p.lost, &a));
    passage_fini(&p);
    arena_fini(&a);
    return ok;
}

static void requests(void **state)
{
    const struct vendor *v = *state;
    if (!speaks(v))
        skip();
    run_trials(v->name, request_trial, v, 1500);
}

/* ---- through two vendors */

struct pair {
    const struct vendor *a, *b;
};

static bool chain_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct pair *pair = arg;
    const struct vendor *way[3] = {pair->a, pair->b, pair->a};
    struct arena a;
    struct passage p[3];
    struct str why = STR_NULL;
    const struct chat_request *first = NULL;
    unsigned n = 0;
    uint32_t lost = 0;
    unsigned losses = pair->a->request_losses | pair->b->request_losses;
    arena_init(&a);
    struct dice d = {seed, &a, size};
    /* not thinking at all is "minimal" at Google, which the next one takes for a little; thinking as the
     * model sees fit is what Google's models do unasked, and others don't */
    const struct chat_request *c =
        make_request(&d, pair->a->signer, pair->a->refused | pair->b->refused | 1 << PARAM_THINKING);
    for (; n < 3 && c; n++) {
        c = pass(&p[n], way[n], c, &why);
        lost |= p[n].lost;
        first = n == 0 ? c : first;
        tell(r, way[n]->name, p[n].out.out.body);
    }
    bool ok = c != NULL;
    if (!ok)
        tell(r, "refused", why);
    else
        ok = same(r, text_of_request(forget(first, losses, pair->b->signer, &a), lost, &a),
                  text_of_request(forget(c, losses, pair->b->signer, &a), lost, &a));
    while (n > 0)
        passage_fini(&p[--n]);
    arena_fini(&a);
    return ok;
}

static void through_two(void **state)
{
    (void)state;
    for (size_t i = 0; i < VENDORS; i++)
        for (size_t k = 0; k < VENDORS; k++) {
            struct pair pair = {&vendors[i], &vendors[k]};
            char name[64];
            if (i == k || !speaks(pair.a) || !speaks(pair.b))
                continue;
            snprintf(name, sizeof(name), "%s, %s, %s", pair.a->name, pair.b->name, pair.a->name);
            run_trials(name, chain_trial, &pair, 500);
        }
}

/* ---- the tables themselves */

/* Nothing is permitted that does not happen; and these tests see what is lost. */
static void permitted_losses_happen(void **state)
{
    (void)state;
    for (size_t i = 0; i < VENDORS; i++)
        for (unsigned bit = 0; bit < 31; bit++) {
            struct vendor strict = vendors[i];
            bool permitted = strict.request_losses & 1U << bit;
            strict.request_losses &= ~(1U << bit);
            if (permitted && speaks(&strict) && !ever_fails(request_trial, &strict))
                fail_msg("%s: requests lose nothing of kind %u", strict.name, bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"requests: anthropic", requests, NULL, NULL, (void *)(uintptr_t)&vendors[0]},
        {"requests: google", requests, NULL, NULL, (void *)(uintptr_t)&vendors[1]},
        {"requests: openai", requests, NULL, NULL, (void *)(uintptr_t)&vendors[2]},
        cmocka_unit_test(through_two),
        cmocka_unit_test(permitted_losses_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How much a model is to think: each vendor has a word of its own for it. Run by workers. */
#include "openai_request.h"

static struct str model_base(struct str model)
{
    for (size_t i = model.n; i > 0; i--)
        if (model.p[i - 1] == '/')
            return (struct str){model.p + i, model.n - i};
    return model;
}

/* o1, o3, o4-mini, gpt-5 … */
bool openai_is_reasoning_model(struct str model)
{
    struct str m = model_base(model);
    if (str_has(m, "chat-latest"))
        return false;
    return str_starts(m, STR("gpt-5")) ||
           (m.n >= 2 && m.p[0] == 'o' && m.p[1] >= '1' && m.p[1] <= '9' && (m.n == 2 || m.p[2] == '-'));
}

bool openai_has_custom_tools(struct str model)
{
    struct str m = model_base(model);
    return str_starts(m, STR("gpt-")) && m.n > 4 && m.p[4] >= '5' && m.p[4] <= '9' && !str_has(m, "chat");
}

static bool is_plain_model(struct str model)
{
    struct str m = model_base(model);
    return str_starts(m, STR("gpt-4")) || str_starts(m, STR("gpt-3.5")) || str_starts(m, STR("chatgpt-")) ||
           str_has(m, "chat-latest");
}

static struct str effort_of(const struct chat_request *in)
{
    switch (in->thinking) {
    case THINKING_EFFORT:
        return in->thinking_effort;
    case THINKING_BUDGET:
        return in->thinking_budget <= 1024   ? STR("low")
               : in->thinking_budget <= 2048 ? STR("medium")
                                             : STR("high");
    default:
        return STR("medium");
    }
}

/* Efforts below and above what a model has. gpt-5 and its like have all of them. */
static struct str bounded_effort(struct writing *w, struct str effort)
{
    bool five = (w->p->flags & OFFICIAL) && !str_starts(model_base(w->c->model), STR("o"));
    bool low = is(effort, "minimal"), high = is(effort, "xhigh") || is(effort, "max");
    if (five || (!low && !high))
        return effort;
    chat_adjust(w->c, PARAM_THINKING);
    return low ? STR("low") : STR("high");
}

/* Not at all: gpt-5.1 and later, Ollama and Groq's Qwen have a word for it, gpt-5 next to none; others are
 * left at their own. */
static void put_no_effort(struct writing *w)
{
    struct str m = model_base(w->c->model);
    const char *type = w->c->conf->type;
    if (str_starts(m, STR("gpt-5.")) || strcmp(type, "ollama") == 0 ||
        (strcmp(type, "groq") == 0 && str_starts(m, STR("qwen")))) {
        json_member_strz(&w->j, "reasoning_effort", "none");
    } else if (str_starts(m, STR("gpt-5"))) {
        json_member_strz(&w->j, "reasoning_effort", "minimal");
        chat_adjust(w->c, PARAM_THINKING);
    } else if (!is_plain_model(m)) {
        chat_adjust(w->c, PARAM_THINKING);
    }
}

static void put_effort(struct writing *w, bool off)
{
    if ((w->p->flags & OFFICIAL) && is_plain_model(w->c->model) && !off) {
        w->c->taken &= ~BIT(THINKING); /* it does not think */
        return;
    }
    if (off)
        put_no_effort(w);
    else
        json_member_str(&w->j, "reasoning_effort", bounded_effort(w, effort_of(w->in)));
}

static void put_thinking_object(struct writing *w, bool off)
{
    json_member_open(&w->j, "reasoning", '{');
    if (off)
        json_member_bool(&w->j, "enabled", false);
    else if (w->in->thinking == THINKING_BUDGET)
        json_member_i64(&w->j, "max_tokens", w->in->thinking_budget);
    else if (w->in->thinking == THINKING_EFFORT)
        json_member_str(&w->j, "effort", bounded_effort(w, w->in->thinking_effort));
    else
        json_member_bool(&w->j, "enabled", true);
    json_close(&w->j, '}');
}

/* Mistral: its small and medium models can do both; Magistral always thinks and takes no word of it, others
 * never do. */
static void put_high_or_none(struct writing *w, bool off)
{
    bool always = str_has(w->c->model, "magistral");
    if (!always && (str_has(w->c->model, "small") || str_has(w->c->model, "medium")))
        json_member_strz(&w->j, "reasoning_effort", off ? "none" : "high");
    else if (always == off)
        w->c->taken &= ~BIT(THINKING);
}

void openai_put_thinking(struct writing *w)
{
    bool off = w->in->thinking == THINKING_OFF;
    if (w->in->thinking == THINKING_DEFAULT || !(w->p->params & BIT(THINKING)))
        return;
    chat_take(w->c, PARAM_THINKING);
    switch (w->p->thinking) {
    case THINK_EFFORT:
        put_effort(w, off);
        break;
    case THINK_HIGH:
        put_high_or_none(w, off);
        break;
    case THINK_TYPE:
        json_member_open(&w->j, "thinking", '{');
        json_member_strz(&w->j, "type", off ? "disabled" : "enabled");
        json_close(&w->j, '}');
        break;
    case THINK_OBJECT:
        put_thinking_object(w, off);
        break;
    case THINK_ENABLE:
        json_member_bool(&w->j, "enable_thinking", !off);
        if (w->in->thinking == THINKING_BUDGET)
            json_member_i64(&w->j, "thinking_budget", w->in->thinking_budget);
        break;
    }
}

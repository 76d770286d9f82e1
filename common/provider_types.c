/* One line a type. Base URLs as of 2026-08. */
#include "provider_types.h"

#include <stddef.h>
#include <string.h>

static const struct provider_type types[] = {
    {"openai", "https://api.openai.com/v1", "OPENAI_API_KEY", false, true,
     PROVIDER_RESPONSES | PROVIDER_CUSTOM_TOOLS},
    {"azure", NULL, "AZURE_OPENAI_API_KEY", false, false, PROVIDER_RESPONSES | PROVIDER_CUSTOM_TOOLS},
    {"anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", false, false, 0},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY", false, false, 0},
    {"vertex", NULL, NULL, false, false, PROVIDER_MAX_TOKENS},      /* by location */
    {"bedrock", NULL, "AWS_BEARER_TOKEN_BEDROCK", false, false, 0}, /* by region */
    {"cohere", "https://api.cohere.com", "COHERE_API_KEY", false, false, 0},
    {"virtual", NULL, NULL, true, true, PROVIDER_RESPONSES | PROVIDER_CUSTOM_TOOLS},
    /* presets */
    {"mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", false, true,
     PROVIDER_MAX_TOKENS | PROVIDER_RANDOM_SEED | PROVIDER_NO_STREAM_OPTIONS},
    {"ollama", "http://127.0.0.1:11434/v1", NULL, true, true, PROVIDER_MAX_TOKENS},
    {"vllm", "http://127.0.0.1:8000/v1", NULL, true, true, PROVIDER_RESPONSES | PROVIDER_TOP_K},
    {"llamacpp", "http://127.0.0.1:8080/v1", NULL, true, true, PROVIDER_MAX_TOKENS | PROVIDER_TOP_K},
    {"lmstudio", "http://127.0.0.1:1234/v1", NULL, true, true,
     PROVIDER_RESPONSES | PROVIDER_MAX_TOKENS | PROVIDER_TOP_K},
    {"deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", false, true,
     PROVIDER_RESPONSES | PROVIDER_MAX_TOKENS | PROVIDER_REASONING_BACK | PROVIDER_NO_SCHEMA},
    {"xai", "https://api.x.ai/v1", "XAI_API_KEY", false, true,
     PROVIDER_RESPONSES | PROVIDER_REASONING_OUTSIDE},
    {"groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", false, true, PROVIDER_RESPONSES},
    {"openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", false, true,
     PROVIDER_RESPONSES | PROVIDER_CUSTOM_TOOLS | PROVIDER_MAX_TOKENS | PROVIDER_TOP_K},
    {"perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", false, true,
     PROVIDER_MAX_TOKENS | PROVIDER_NO_DONE | PROVIDER_NO_STREAM_OPTIONS | PROVIDER_TOP_K},
    {"together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", false, true,
     PROVIDER_MAX_TOKENS | PROVIDER_TOP_K},
    {"fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", false, true,
     PROVIDER_RESPONSES | PROVIDER_MAX_TOKENS | PROVIDER_TOP_K},
    {"huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", false, true,
     PROVIDER_RESPONSES | PROVIDER_MAX_TOKENS},
    {"cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", false, true, 0},
    {"moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", false, true, PROVIDER_MAX_TOKENS},
    {"alibaba", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", false, true,
     PROVIDER_MAX_TOKENS},
    {"nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", false, true, PROVIDER_MAX_TOKENS},
    {"github", "https://models.github.ai/inference", "GITHUB_TOKEN", false, true,
     PROVIDER_CUSTOM_TOOLS | PROVIDER_MAX_TOKENS},
    {"sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", false, true, PROVIDER_MAX_TOKENS},
    {"deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", false, true,
     PROVIDER_MAX_TOKENS},
};

const struct provider_type *provider_type(const char *name)
{
    for (unsigned i = 0; name && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

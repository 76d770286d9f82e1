/* The models endpoints: what this key may use, as each vendor's SDK lists it. */
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include "request.h"

/* GET /v1/models (OpenAI's; Anthropic's for callers that send anthropic-version), GET /v1beta/models
 * (Google's)
 */
enum step models_list(struct request *r);
/* … of one */
enum step models_show(struct request *r);
/* The caller's vendor's error. */
enum step answer_no_such_model(struct request *r, struct str model);
/* What is known of a model: the configuration's word, else the list of prices'. id: the caller's name for it.
 */
struct price model_price(const struct config *conf, const struct conf_model *m, size_t target, struct str id);

#endif

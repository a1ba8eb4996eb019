SELECT name, params.lr, metrics.auc, best.loss FROM runs WHERE params.model = 'gbm' AND params.lr < 0.1 ORDER BY metrics.auc DESC LIMIT 10

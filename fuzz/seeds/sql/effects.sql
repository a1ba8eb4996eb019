SELECT * FROM param_effects('auc', param => 'lr') JOIN feature_sets('auc', tolerance => 0.01) USING (experiment) UNION ALL BY NAME SELECT 1

# What belongs to the layer training (no OpenCV) and to training/data (with it).
set(VIZOO_TRAINING_SOURCES
  data_loader.cpp mixup.cpp random_stream.cpp sampler.cpp data/text_lines_dataset.cpp
  batch.cpp detection_task.cpp image_classification_task.cpp masked_language_modeling_task.cpp
  autocast.cpp head_labels.cpp loss_scaler.cpp model_state.cpp optical_flow_task.cpp non_finite.cpp recipe.cpp trainer.cpp
  average_precision.cpp ema.cpp flow_pair.cpp label_checks.cpp loss.cpp metric_rows.cpp metrics.cpp
  named_state.cpp optimizer.cpp parameter_groups.cpp schedule.cpp
  detection_loss.cpp detection_targets.cpp linear_assignment.cpp
  append_file.cpp checkpoint_files.cpp checkpoint_manifest.cpp checkpointer.cpp event_file.cpp
  log_file.cpp random_state.cpp signals.cpp training_state.cpp
)
set(VIZOO_TRAINING_HEADERS
  data_loader.h dataset.h mixup.h random_stream.h sampler.h data/text_lines_dataset.h
  batch.h detection_task.h image_classification_task.h masked_language_modeling_task.h
  head_labels.h loss_scaler.h model_state.h optical_flow_task.h non_finite.h recipe.h trainer.h training_task.h
  average_precision.h ema.h loss.h metrics.h optimizer.h parameter_groups.h schedule.h
  detection_loss.h linear_assignment.h
  checkpointer.h event_file.h log_file.h random_state.h signals.h training_state.h
)
include(VizooDistributed)
list(APPEND VIZOO_TRAINING_SOURCES
  batch_norm.cpp gradient_reducer.cpp node_list.cpp process_environment.cpp process_group.cpp
  sockets.cpp
)
list(APPEND VIZOO_TRAINING_HEADERS
  batch_norm.h gradient_reducer.h process_environment.h process_group.h
)
if(VIZOO_GLOO)
  list(APPEND VIZOO_TRAINING_SOURCES
    failure_monitor.cpp gloo_backend.cpp nccl_backend.cpp process_connection.cpp
    process_meeting.cpp
  )
  # What LibTorch was built with; without them its headers declare no backend.
  set_source_files_properties(vizoo/training/gloo_backend.cpp PROPERTIES
    COMPILE_DEFINITIONS "USE_DISTRIBUTED;USE_C10D_GLOO"
    SKIP_PRECOMPILE_HEADERS ON)
  # The compiler's own folders must not be named again: their order matters.
  if(NOT VIZOO_GLOO_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    set_source_files_properties(vizoo/training/gloo_backend.cpp PROPERTIES
      INCLUDE_DIRECTORIES "${VIZOO_GLOO_INCLUDE_DIR}")
  endif()
  if(VIZOO_NCCL_INCLUDE_DIR)
    set_source_files_properties(vizoo/training/nccl_backend.cpp PROPERTIES
      COMPILE_DEFINITIONS "USE_DISTRIBUTED;USE_C10D_NCCL;VIZOO_NCCL"
      INCLUDE_DIRECTORIES "${VIZOO_NCCL_INCLUDE_DIR}"
      SKIP_PRECOMPILE_HEADERS ON)
  endif()
else()
  list(APPEND VIZOO_TRAINING_SOURCES process_connection_absent.cpp)
endif()
set(VIZOO_TRAINING_DATA_SOURCES
  coco_annotations.cpp coco_detection_dataset.cpp coco_fields.cpp flow_dataset.cpp flow_files.cpp
  image_augmentation.cpp image_folder_dataset.cpp ppm_file.cpp
)
set(VIZOO_TRAINING_DATA_HEADERS
  coco_detection_dataset.h flow_dataset.h image_augmentation.h image_folder_dataset.h
)
